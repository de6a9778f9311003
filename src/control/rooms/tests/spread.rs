use super::scene::Scene;
use crate::base::WorkerId;
use crate::contract::RoomCommand;

/// Alice at home, Bob alone on another worker.
fn two_workers() -> (Scene, super::scene::Client) {
    let mut scene = Scene::with(|rules| rules.spread_from = 1);
    scene.join_with_media("alice");
    scene.elsewhere = WorkerId(1);
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
