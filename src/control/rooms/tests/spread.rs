use super::scene::Scene;
use crate::base::WorkerId;
use crate::contract::RoomCommand;

/// Alice at home, Bob alone on another worker.
fn two_workers() -> (Scene, super::scene::Client) {
    let mut scene = Scene::with(|rules| rules.spread_from = 1);
    scene.join_with_media("alice");
    scene.elsewhere = [WorkerId(1); 2];
    let bob = scene.join_with_media("bob");
    (scene, bob)
}

fn listeners(scene: &Scene) -> Vec<WorkerId> {
    scene.commands.iter().filter_map(|c| if let RoomCommand::Listener { worker } = c { Some(*worker) } else { None }).collect()
}

fn imports(scene: &Scene) -> usize {
    scene.commands.iter().filter(|c| matches!(c, RoomCommand::Import { .. })).count()
}

#[test]
fn a_worker_that_a_room_comes_to_learns_of_all_tracks_and_of_who_listens() {
    let (scene, _) = two_workers();
    // Alice's two tracks to Bob's worker, Bob's two to Alice's.
    assert_eq!((listeners(&scene), imports(&scene)), (vec![WorkerId(0)], 4));
    let place = |wanted: fn(&RoomCommand) -> bool| scene.commands.iter().rposition(wanted).expect("sent");
    let first_point = scene.commands.iter().position(|c| matches!(c, RoomCommand::Point { .. })).expect("pointed");
    assert!(place(|c| matches!(c, RoomCommand::Import { .. })) < first_point, "nobody is pointed at what his worker does not know");
}

#[test]
fn a_worker_whose_only_connection_is_made_anew_is_told_again_who_listens() {
    let (mut scene, mut bob) = two_workers();
    scene.forget();
    bob.reload();
    scene.connect(&mut bob);
    assert!(scene.commands.iter().any(|c| matches!(c, RoomCommand::RemovePeer { .. })), "it is another connection");
    assert_eq!((listeners(&scene), imports(&scene)), (vec![WorkerId(0)], 4));
}

#[test]
fn of_two_workers_alike_the_one_that_the_room_is_on_is_taken() {
    let mut scene = Scene::with(|rules| rules.spread_from = 1);
    let join = |scene: &mut Scene, name: &str, drawn: [u16; 2]| {
        scene.elsewhere = drawn.map(WorkerId);
        scene.join_with_media(name);
        [0, 1, 2].map(|worker| scene.workers.peers(WorkerId(worker)))
    };
    assert_eq!(join(&mut scene, "alice", [1, 2]), [1, 0, 0], "the first is at home");
    assert_eq!(join(&mut scene, "bob", [1, 2]), [1, 1, 0], "it is on neither: the better one");
    assert_eq!(join(&mut scene, "carol", [2, 1]), [1, 2, 0], "it is on the other one");
    assert_eq!(join(&mut scene, "dave", [2, 2]), [1, 2, 1], "which was much busier");
    assert_eq!(join(&mut scene, "erin", [2, 1]), [1, 2, 2], "it is on both: the better one");
    // Alice sees four of elsewhere, each of the others three.
    assert_eq!((scene.workers.count(), scene.workers.crossing()), (3, (4 + 4 * 3) * 2));
    assert_eq!(join(&mut scene, "frank", [9, 9]), [2, 2, 2], "there is no such worker");
}
