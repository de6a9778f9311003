use super::*;
use crate::metrics::Metrics;
use crate::record::manifest::State;
use crate::record::manifest::tests::recording;

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("althing-library-{name}-{}", std::process::id()));
        let _ = remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    /// Puts something there as the recorder leaves it.
    fn keep(&self, manifest: &Manifest) {
        let folder = self.0.join(&manifest.id);
        std::fs::create_dir_all(&folder).expect("a folder");
        manifest.write(&folder).expect("a manifest");
        for file in &manifest.files {
            std::fs::write(folder.join(&file.name), vec![7; usize::try_from(file.bytes).expect("small")]).expect("a file");
        }
    }

    fn open(&self, change: impl FnOnce(&mut LibraryConfig)) -> Library {
        let mut config = LibraryConfig { folder: self.0.clone(), minimum_free: 0, keep: None, keep_bytes: None, room_mib: None, uploads: None };
        change(&mut config);
        Library::open(&config, Metrics::new(Vec::new()).expect("metrics").library).expect("it opens")
    }

    fn has(&self, id: &str) -> bool {
        self.0.join(id).exists()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = remove_dir_all(&self.0);
    }
}

fn ids(library: &Library, room: &str) -> Vec<String> {
    library.page(room, None, None, 100).into_iter().map(|(_, id)| id).collect()
}

#[test]
fn a_start_finds_what_is_there_and_finishes_what_was_being_deleted() {
    let place = Place::new("start");
    place.keep(&recording("r1", "hall", 1, 10));
    place.keep(&recording("r2", "hall", 2, 10));
    place.keep(&Manifest { id: "r4".into(), ..recording("r3", "hall", 3, 10) });
    rename(place.0.join("r4"), place.0.join("elsewhere")).expect("moved");
    let mut crafted = recording("r5", "hall", 5, 0);
    place.keep(&crafted);
    crafted.files[0].name = "../r1/manifest.json".into();
    crafted.write(&place.0.join("r5")).expect("written");
    std::fs::create_dir_all(place.0.join(".deleted-r6")).expect("a folder");
    std::fs::create_dir_all(place.0.join("of-somebody-else")).expect("a folder");
    let library = place.open(|_| ());
    assert_eq!(ids(&library, "hall"), ["r2", "r1"], "neither one in another's folder nor one that names files elsewhere");
    assert!(!place.has(".deleted-r6") && place.has("of-somebody-else") && place.has("elsewhere"));
    let second = Library::open(library.config(), Metrics::new(Vec::new()).expect("metrics").library);
    assert_eq!(second.err().map(|error| error.kind()), Some(io::ErrorKind::ResourceBusy));
    library.close();
    assert!(Library::open(library.config(), Metrics::new(Vec::new()).expect("metrics").library).is_ok());
    assert!(matches!(library.delete("r1", "request"), Err(LibraryError::Unknown)), "another node's");
    assert!(place.has("r1"));
}

#[test]
fn what_is_renamed_says_so_after_a_start_too_and_what_is_deleted_is_gone() {
    let place = Place::new("change");
    place.keep(&recording("r1", "hall", 1, 10));
    let library = place.open(|_| ());
    library.amend("r1", |manifest| manifest.title = Some("Budget".into())).expect("renamed");
    library.close();
    let library = place.open(|_| ());
    assert_eq!(library.read("r1").expect("it is there").manifest.title.as_deref(), Some("Budget"));
    library.delete("r1", "request").expect("deleted");
    assert!(!place.has("r1") && !place.has(".deleted-r1") && ids(&library, "hall").is_empty());
    assert!(matches!(library.delete("r1", "request"), Err(LibraryError::Unknown)));
    assert!(matches!(library.read("../hall"), Err(LibraryError::Unknown)));
}

#[test]
fn what_goes_on_is_neither_changed_nor_deleted_until_it_ends() {
    let place = Place::new("running");
    let mut running = recording("r1", "hall", 1, 10);
    (running.state, running.ended) = (State::Recording, None);
    place.keep(&running);
    let library = place.open(|config| (config.keep, config.keep_bytes) = (Some(Duration::from_secs(1)), Some(0)));
    assert!(matches!(library.delete("r1", "request"), Err(LibraryError::GoesOn)));
    assert!(matches!(library.amend("r1", |_| ()), Err(LibraryError::GoesOn)));
    assert_eq!(library.retain(), 0);
    library.put(&recording("r1", "hall", 1, 10));
    assert_eq!(library.retain(), 1);
    assert!(!place.has("r1"));
}

#[test]
fn what_is_too_old_goes_and_of_what_is_too_much_the_oldest() {
    let place = Place::new("retain");
    let now = unix_millis();
    for (id, age) in [("old", 3_600_000), ("older", 7_200_000), ("new", 10_000), ("newer", 5_000)] {
        place.keep(&recording(id, "hall", now - age, 100));
    }
    let library = place.open(|config| config.keep = Some(Duration::from_secs(5_400)));
    assert_eq!((library.retain(), ids(&library, "hall")), (1, vec!["newer".into(), "new".into(), "old".into()]));
    library.close();
    let library = place.open(|config| config.keep_bytes = Some(250));
    assert_eq!((library.retain(), ids(&library, "hall")), (1, vec!["newer".into(), "new".into()]));
    assert_eq!(library.retain(), 0);
}
