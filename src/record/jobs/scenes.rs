//! What a mixdown shows when: a recording's files as a row of scenes. In a scene nobody comes and nobody goes, so that each is put together
//! from a fixed number of files, however long the meeting was and however many came. Pure.

use crate::record::manifest::{FileEntry, FileState};

/// Pictures a second. Each lasts a whole number of milliseconds and of samples, so that scenes follow each other without a gap.
pub const FPS: i64 = 25;
/// Microseconds of a picture.
pub const FRAME: i64 = 1_000_000 / FPS;
/// Samples of sound in a picture's time, at 48 kHz.
pub const FRAME_SAMPLES: i64 = 48_000 / FPS;
/// Pictures of the longest scene: a minute. Longer ones take longer to be taken back; shorter ones are decoded from the key frame before them for
/// more of their time.
const LONGEST: i64 = 60 * FPS;
/// Pictures of a scene that are shown; others are heard only.
const MOST_TILES: usize = 25;
/// Pictures beside a screen.
const MOST_BESIDE: usize = 5;
/// Files whose sound is heard at a time.
const MOST_SOUNDS: usize = 100;

/// A part of the time in which the same files are shown and heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scene {
    /// Its first picture, counted from the beginning of the recording.
    pub from: i64,
    /// Pictures.
    pub frames: i64,
    /// What is seen, in the order in which it is drawn.
    pub tiles: Vec<Tile>,
    /// What is heard: files, and where in each of them the scene begins (microseconds).
    pub sounds: Vec<(usize, i64)>,
}

/// A picture in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// The file, by its place in the manifest.
    pub file: usize,
    /// Where in it the scene begins, in microseconds.
    pub offset: i64,
    /// Its place.
    pub place: Place,
}

/// A place in the picture, in pixels; all even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From the left.
    pub x: u32,
    /// From the top.
    pub y: u32,
    /// How wide.
    pub width: u32,
    /// How high.
    pub height: u32,
}

/// The scenes of a recording whose files these are, in a picture of so many pixels.
pub fn scenes(files: &[FileEntry], size: (u32, u32)) -> Vec<Scene> {
    let spans: Vec<Option<(i64, i64)>> = files.iter().map(span).collect();
    let mut cuts: Vec<i64> = spans.iter().flatten().flat_map(|(from, to)| [*from, *to]).chain([0]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut scenes = Vec::new();
    for cut in cuts.windows(2) {
        let (mut from, to) = (cut[0], cut[1]);
        let there: Vec<usize> = (0..files.len()).filter(|n| spans[*n].is_some_and(|(begins, ends)| begins <= from && to <= ends)).collect();
        while from < to {
            let frames = (to - from).min(LONGEST);
            scenes.push(scene(files, &there, (from, frames), size));
            from += frames;
        }
    }
    scenes
}

/// Where a file lies, in pictures; none when there is nothing of it to be shown or heard.
fn span(file: &FileEntry) -> Option<(i64, i64)> {
    let playable = matches!(file.state, FileState::Complete | FileState::Repaired);
    let (from, to) = (file.at.max(0), file.at.checked_add(file.length)?);
    let nearest = |at: i64| (at + FRAME / 2) / FRAME;
    (playable && nearest(from) < nearest(to)).then(|| (nearest(from), nearest(to)))
}

fn scene(files: &[FileEntry], there: &[usize], (from, frames): (i64, i64), size: (u32, u32)) -> Scene {
    let offset = |n: usize| (from * FRAME - files[n].at).max(0);
    let shown = |screen: bool| {
        let mut shown: Vec<usize> = there.iter().copied().filter(|n| files[*n].video.is_some() && files[*n].screen == screen).collect();
        // Whoever is there again is where it was.
        shown.sort_by(|a, b| files[*a].member.cmp(&files[*b].member));
        shown
    };
    let (screens, cameras) = (shown(true), shown(false));
    let placed = if screens.is_empty() { grid(&cameras, whole(size)) } else { beside(&screens, &cameras, size) };
    let tiles = placed.into_iter().map(|(file, place)| Tile { file, offset: offset(file), place }).collect();
    let mut heard: Vec<usize> = there.iter().copied().filter(|n| files[*n].audio.is_some()).collect();
    heard.sort_by_key(|n| std::cmp::Reverse(files[*n].length));
    heard.truncate(MOST_SOUNDS);
    heard.sort_unstable();
    Scene { from, frames, tiles, sounds: heard.into_iter().map(|file| (file, offset(file))).collect() }
}

const fn whole((width, height): (u32, u32)) -> Place {
    Place { x: 0, y: 0, width, height }
}

/// Screens large, cameras in a column at the right.
fn beside(screens: &[usize], cameras: &[usize], size: (u32, u32)) -> Vec<(usize, Place)> {
    let column = if cameras.is_empty() { 0 } else { even(size.0 / 5) };
    let mut placed = grid(screens, Place { width: size.0 - column, ..whole(size) });
    // As high as wide pictures are, from the top.
    let height = even(column * 9 / 16);
    for (n, file) in (0..).zip(cameras.iter().take(MOST_BESIDE)) {
        placed.push((*file, Place { x: size.0 - column, y: n * height, width: column, height }));
    }
    placed
}

/// As many columns as rows, or one more; the last row in the middle.
fn grid(files: &[usize], within: Place) -> Vec<(usize, Place)> {
    let count = files.len().min(MOST_TILES);
    let Some(columns) = (1..=count).find(|columns| columns * columns >= count) else { return Vec::new() };
    let rows = count.div_ceil(columns);
    let (width, height) = (even(within.width / columns as u32), even(within.height / rows as u32));
    let place = |n: usize| {
        let (row, column) = (n / columns, n % columns);
        let in_row = if row + 1 == rows { count - row * columns } else { columns };
        let margin = even((within.width - width * in_row as u32) / 2);
        Place { x: within.x + margin + width * column as u32, y: within.y + height * row as u32, width, height }
    };
    files.iter().take(count).enumerate().map(|(n, file)| (*file, place(n))).collect()
}

const fn even(pixels: u32) -> u32 {
    pixels & !1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::file::Container;
    use proptest::prelude::*;

    const SIZE: (u32, u32) = (1_280, 720);

    fn file(member: &str, screen: bool, (at, length): (i64, i64)) -> FileEntry {
        FileEntry {
            name: "0001.webm".into(),
            member: member.into(),
            screen,
            container: Container::Webm,
            video: Some("vp8".into()),
            audio: (!screen).then(|| "opus".into()),
            size: None,
            at,
            length,
            bytes: 1,
            lost: 0,
            state: FileState::Complete,
        }
    }

    #[test]
    fn people_are_a_grid_and_beside_a_screen_while_there_is_one() {
        let files = [file("bob", false, (0, 8_000_000)), file("ada", false, (1_000_000, 7_000_000)), file("ada", true, (3_000_000, 2_000_000))];
        let scenes = scenes(&files, SIZE);
        let told: Vec<_> = scenes.iter().map(|s| (s.from, s.frames, s.tiles.iter().map(|t| (t.file, t.place)).collect::<Vec<_>>())).collect();
        let place = |x, y, width, height| Place { x, y, width, height };
        let (left, right) = (place(0, 0, 640, 720), place(640, 0, 640, 720));
        assert_eq!(
            told,
            [
                (0, 25, vec![(0, place(0, 0, 1_280, 720))]),
                (25, 50, vec![(1, left), (0, right)]),
                (75, 50, vec![(2, place(0, 0, 1_024, 720)), (1, place(1_024, 0, 256, 144)), (0, place(1_024, 144, 256, 144))]),
                (125, 75, vec![(1, left), (0, right)]),
            ]
        );
        assert_eq!(scenes[2].tiles.iter().map(|tile| tile.offset).collect::<Vec<_>>(), [0, 2_000_000, 3_000_000]);
        assert_eq!(scenes[2].sounds, [(0, 3_000_000), (1, 2_000_000)]);
    }

    #[test]
    fn where_nobody_is_there_it_is_dark_and_still_and_what_is_broken_is_left_out() {
        let broken = FileEntry { state: FileState::Broken, ..file("eve", false, (0, 9_000_000)) };
        let files = [broken, file("ada", false, (2_000_000, 1_000_000)), file("ada", false, (4_000_000, 10_000))];
        let scenes = scenes(&files, SIZE);
        assert_eq!(scenes.iter().map(|s| (s.from, s.frames, s.tiles.len(), s.sounds.len())).collect::<Vec<_>>(), [(0, 50, 0, 0), (50, 25, 1, 1)]);
        assert!(super::scenes(&[], SIZE).is_empty());
    }

    #[test]
    fn a_long_stretch_is_several_scenes_and_a_row_that_is_not_full_is_in_the_middle() {
        let files: Vec<_> = ["a", "b", "c", "d", "e"].map(|member| file(member, false, (0, 150_000_000))).to_vec();
        let scenes = scenes(&files, SIZE);
        assert_eq!(
            scenes.iter().map(|s| (s.from, s.frames, s.tiles[4].offset)).collect::<Vec<_>>(),
            [(0, 1_500, 0), (1_500, 1_500, 60_000_000), (3_000, 750, 120_000_000)]
        );
        assert_eq!(scenes[0].tiles.iter().map(|t| (t.place.x, t.place.y)).collect::<Vec<_>>(), [(0, 0), (426, 0), (852, 0), (214, 360), (640, 360)]);
    }

    proptest! {
        #[test]
        fn scenes_follow_each_other_and_nothing_lies_outside_or_over_another(
            files in proptest::collection::vec((0usize..40, any::<bool>(), -50_000i64..30_000_000, 0i64..30_000_000), 0..60),
        ) {
            let files: Vec<_> = files.into_iter().map(|(who, screen, at, length)| file(&format!("m{who:02}"), screen, (at, length))).collect();
            let scenes = scenes(&files, SIZE);
            let mut until = 0;
            for scene in &scenes {
                prop_assert_eq!(scene.from, until);
                prop_assert!((1..=LONGEST).contains(&scene.frames));
                until += scene.frames;
                for (n, tile) in scene.tiles.iter().enumerate() {
                    let p = tile.place;
                    prop_assert!(p.width >= 2 && p.height >= 2 && p.x + p.width <= SIZE.0 && p.y + p.height <= SIZE.1, "{:?}", p);
                    prop_assert!([p.x, p.y, p.width, p.height].iter().all(|v| v % 2 == 0));
                    prop_assert!(tile.offset >= 0 && tile.offset <= files[tile.file].length + FRAME);
                    let apart = |q: Place| p.x + p.width <= q.x || q.x + q.width <= p.x || p.y + p.height <= q.y || q.y + q.height <= p.y;
                    prop_assert!(scene.tiles[..n].iter().all(|other| apart(other.place)));
                }
            }
            let ends = |shortest: i64| files.iter().filter(|f| f.length > shortest).map(|f| f.at + f.length).max().unwrap_or(0);
            prop_assert!(until * FRAME >= ends(2 * FRAME) - FRAME && until * FRAME <= ends(0).max(0) + FRAME);
        }
    }
}
