//! Fragmented MP4 (ISO/IEC 14496-12): H.264 and Opus.
//!
//! ```text
//! ftyp │ moov (with mvex) │ free: room for the sidx │ moof mdat │ moof mdat │ …
//! ```
//!
//! A fragment is written when it is whole, so that whatever was written can be read. In the end the length is put into `mehd`, and the
//! room becomes the index. Parameter sets stay in band (`avc3`), so that a picture may change its size.

use std::io;
use std::num::NonZeroU32;

use shiguredo_mp4::bitstream::opus::{ChannelCount, OpusSampleEntryConfig, build_opus_box};
use shiguredo_mp4::boxes::{
    Brand, DinfBox, FreeBox, FtypBox, HdlrBox, MdatBox, MdhdBox, MdiaBox, MediaHeader, MehdBox, MfhdBox, MinfBox, MoofBox, MoovBox, MvexBox, MvhdBox,
    SampleEntry, SidxBox, SidxReference, SmhdBox, StblBox, StcoBox, StscBox, StsdBox, StszBox, SttsBox, TfdtBox, TfhdBox, TkhdBox, TrafBox, TrakBox,
    TrexBox, TrunBox, TrunSample, VmhdBox,
};
use shiguredo_mp4::{BoxHeader, Decode, Either, Encode, FixedPointNumber, LanguageCode, Mp4FileTime, SampleFlags, Utf8String};

use super::seal::{SEAL, seal};
use super::{Completion, Cue, Picture, Piece, config};
use crate::record::repair::Whole;

const PICTURE: u32 = 1;
const SOUND: u32 = 2;
/// Ticks in a second: of the movie, of the picture (as RTP's), of the sound.
const MOVIE_SCALE: u32 = 1_000;
const PICTURE_SCALE: u32 = 90_000;
const SOUND_SCALE: u32 = 48_000;
/// References that the index has at most, and bytes of its room: of a longer file several fragments share one.
const MOST_REFERENCES: usize = 1_000;
const INDEX_ROOM: usize = 64 + 12 * MOST_REFERENCES;
/// Bytes of a box's header.
const BOX_HEADER: usize = 8;

/// Writes an MP4 file.
#[derive(Debug)]
pub struct Mp4Writer {
    pictures: Lane,
    sounds: Lane,
    sequence: u32,
}

/// The samples of a track that wait.
#[derive(Debug, Default)]
struct Lane {
    track: u32,
    scale: i64,
    samples: Vec<Sample>,
    /// When the last one ends; none: when the next one begins.
    end: Option<i64>,
}

#[derive(Debug)]
struct Sample {
    at: i64,
    key: bool,
    data: Vec<u8>,
}

impl Mp4Writer {
    /// A file with this picture and with sound or not; the second value is its first bytes.
    pub fn new(picture: Option<&Picture>, sound: bool) -> (Self, Vec<u8>) {
        let lane = |track, scale: u32| Lane { track, scale: scale.into(), ..Lane::default() };
        let writer = Self { pictures: lane(PICTURE, PICTURE_SCALE), sounds: lane(SOUND, SOUND_SCALE), sequence: 0 };
        // Encoding into memory fails only where a parameter set is longer than the box can say: then there is no picture.
        let header = beginning(picture, sound).or_else(|| beginning(None, sound)).unwrap_or_default();
        (writer, header)
    }

    /// A picture at `at` (microseconds).
    pub fn picture(&mut self, at: i64, key: bool, data: &[u8]) {
        self.pictures.samples.push(Sample { at, key, data: data.to_vec() });
    }

    /// A piece of sound at `at` (microseconds).
    pub fn sound(&mut self, at: i64, data: &[u8]) {
        self.sounds.samples.push(Sample { at, key: true, data: data.to_vec() });
    }

    /// Nothing more comes: the last picture lasts until `end` (microseconds).
    pub fn finish(&mut self, end: i64) {
        for lane in [&mut self.pictures, &mut self.sounds] {
            lane.end = Some(end);
        }
    }

    /// What is complete of what has been collected, as a fragment: the last sample of a track waits for the next one, which says how long
    /// it lasts.
    pub fn cut(&mut self) -> Option<Piece> {
        let (pictures, sounds) = (self.pictures.take(), self.sounds.take());
        let at = [&pictures, &sounds].into_iter().filter_map(|samples| samples.first()).map(|(sample, _)| sample.at).min()?;
        let until = [&pictures, &sounds].into_iter().filter_map(|samples| samples.last()).map(|(_, end)| *end).max()?;
        let key = pictures.first().is_some_and(|(sample, _)| sample.key);
        self.sequence += 1;
        let bytes = self.fragment(&pictures, &sounds, 0).and_then(|moof| {
            let offset = moof.len() + BOX_HEADER;
            self.fragment(&pictures, &sounds, i32::try_from(offset).ok()?)
        });
        let data: Vec<&[u8]> = pictures.iter().chain(&sounds).map(|(sample, _)| &sample.data[..]).collect();
        let mdat = MdatBox { payload: data.concat() }.encode_to_vec().ok()?;
        let room = FreeBox { payload: vec![0; SEAL] }.encode_to_vec().ok()?;
        let mut bytes = [bytes?, mdat, room].concat();
        seal(&mut bytes);
        Some(Piece { bytes, at, until, key })
    }

    fn fragment(&self, pictures: &[(Sample, i64)], sounds: &[(Sample, i64)], offset: i32) -> Option<Vec<u8>> {
        let len: usize = pictures.iter().map(|(sample, _)| sample.data.len()).sum();
        let lanes = [(&self.pictures, pictures, offset), (&self.sounds, sounds, offset.checked_add(i32::try_from(len).ok()?)?)];
        let traf_boxes = lanes.into_iter().filter(|(_, samples, _)| !samples.is_empty()).map(|(lane, samples, offset)| lane.run(samples, offset));
        MoofBox { mfhd_box: MfhdBox { sequence_number: self.sequence }, traf_boxes: traf_boxes.collect(), unknown_boxes: Vec::new() }
            .encode_to_vec()
            .ok()
    }
}

impl Lane {
    /// The samples whose end is known, with their ends.
    fn take(&mut self) -> Vec<(Sample, i64)> {
        let ends: Vec<i64> = self.samples.iter().skip(1).map(|next| next.at).chain(self.end).collect();
        let known = ends.len().min(self.samples.len());
        self.samples.drain(..known).zip(ends).collect()
    }

    fn ticks(&self, at: i64) -> i64 {
        at * self.scale / 1_000_000
    }

    fn run(&self, samples: &[(Sample, i64)], offset: i32) -> TrafBox {
        let begins = samples.first().map_or(0, |(sample, _)| self.ticks(sample.at));
        let sample = |(sample, end): &(Sample, i64)| TrunSample {
            duration: u32::try_from(self.ticks(*end) - self.ticks(sample.at)).ok().or(Some(0)),
            size: u32::try_from(sample.data.len()).ok(),
            flags: Some(SampleFlags::from_fields(0, if sample.key { 2 } else { 1 }, 0, 0, 0, !sample.key, 0)),
            composition_time_offset: None,
        };
        TrafBox {
            tfhd_box: TfhdBox {
                track_id: self.track,
                base_data_offset: None,
                sample_description_index: None,
                default_sample_duration: None,
                default_sample_size: None,
                default_sample_flags: None,
                duration_is_empty: false,
                default_base_is_moof: true,
            },
            tfdt_box: Some(TfdtBox { version: 1, base_media_decode_time: u64::try_from(begins).unwrap_or(0) }),
            trun_boxes: vec![TrunBox { data_offset: Some(offset), first_sample_flags: None, samples: samples.iter().map(sample).collect() }],
            unknown_boxes: Vec::new(),
        }
    }
}

fn beginning(picture: Option<&Picture>, sound: bool) -> Option<Vec<u8>> {
    let mut traks = Vec::new();
    let mut trexes = Vec::new();
    if let Some(entry) = picture.and_then(|picture| config::h264(&picture.first)) {
        let size = (entry.visual.width, entry.visual.height);
        traks.push(trak((PICTURE, PICTURE_SCALE), SampleEntry::Avc1(entry), Some(size))?);
        trexes.push(PICTURE);
    }
    if sound {
        let config = OpusSampleEntryConfig { channel_count: ChannelCount::Stereo, pre_skip: 0, input_sample_rate: SOUND_SCALE, output_gain: 0 };
        traks.push(trak((SOUND, SOUND_SCALE), SampleEntry::Opus(build_opus_box(&config)), None)?);
        trexes.push(SOUND);
    }
    let trex = |track_id| TrexBox {
        track_id,
        default_sample_description_index: 1,
        default_sample_duration: 0,
        default_sample_size: 0,
        default_sample_flags: SampleFlags::new(0),
    };
    let time = Mp4FileTime::default();
    let moov = MoovBox {
        mvhd_box: MvhdBox {
            creation_time: time,
            modification_time: time,
            timescale: NonZeroU32::new(MOVIE_SCALE)?,
            duration: 0,
            rate: MvhdBox::DEFAULT_RATE,
            volume: MvhdBox::DEFAULT_VOLUME,
            matrix: MvhdBox::DEFAULT_MATRIX,
            next_track_id: SOUND + 1,
        },
        trak_boxes: traks,
        mvex_box: Some(MvexBox {
            mehd_box: Some(MehdBox { fragment_duration: 0 }),
            trex_boxes: trexes.into_iter().map(trex).collect(),
            unknown_boxes: Vec::new(),
        }),
        unknown_boxes: Vec::new(),
    };
    let ftyp = FtypBox { major_brand: Brand::ISO6, minor_version: 0, compatible_brands: vec![Brand::ISO6, Brand::MP41] };
    let moov = in_band(moov.encode_to_vec().ok()?);
    Some([ftyp.encode_to_vec().ok()?, moov, free(INDEX_ROOM)?].concat())
}

/// The entry of H.264 says that parameter sets come in band too (ISO/IEC 14496-15 section 5.4.2.1): `avc3` for `avc1`.
fn in_band(mut moov: Vec<u8>) -> Vec<u8> {
    if let Some(at) = moov.windows(4).position(|name| name == b"avc1") {
        moov[at..at + 4].copy_from_slice(b"avc3");
    }
    moov
}

fn trak((track_id, scale): (u32, u32), entry: SampleEntry, size: Option<(u16, u16)>) -> Option<TrakBox> {
    let time = Mp4FileTime::default();
    let (width, height) = size.unwrap_or((0, 0));
    let whole = |pixels: u16| FixedPointNumber::new(i16::try_from(pixels).unwrap_or(i16::MAX), 0);
    let stbl_box = StblBox {
        stsd_box: StsdBox { entries: vec![entry] },
        stts_box: SttsBox { entries: Vec::new() },
        ctts_box: None,
        cslg_box: None,
        stsc_box: StscBox { entries: Vec::new() },
        stsz_box: StszBox::Variable { entry_sizes: Vec::new() },
        stco_or_co64_box: Either::A(StcoBox { chunk_offsets: Vec::new() }),
        stss_box: None,
        sdtp_box: None,
        unknown_boxes: Vec::new(),
    };
    let (handler_type, media_header, volume) = match size {
        Some(_) => (HdlrBox::HANDLER_TYPE_VIDE, MediaHeader::Vmhd(VmhdBox::default()), TkhdBox::DEFAULT_VIDEO_VOLUME),
        None => (HdlrBox::HANDLER_TYPE_SOUN, MediaHeader::Smhd(SmhdBox::default()), TkhdBox::DEFAULT_AUDIO_VOLUME),
    };
    Some(TrakBox {
        tkhd_box: TkhdBox {
            flag_track_enabled: true,
            flag_track_in_movie: true,
            flag_track_in_preview: false,
            flag_track_size_is_aspect_ratio: false,
            creation_time: time,
            modification_time: time,
            track_id,
            duration: 0,
            layer: TkhdBox::DEFAULT_LAYER,
            alternate_group: TkhdBox::DEFAULT_ALTERNATE_GROUP,
            volume,
            matrix: TkhdBox::DEFAULT_MATRIX,
            width: whole(width),
            height: whole(height),
        },
        edts_box: None,
        mdia_box: MdiaBox {
            mdhd_box: MdhdBox {
                creation_time: time,
                modification_time: time,
                timescale: NonZeroU32::new(scale)?,
                duration: 0,
                language: LanguageCode::UNDEFINED,
            },
            hdlr_box: HdlrBox { handler_type, name: Utf8String::EMPTY.into_null_terminated_bytes() },
            minf_box: MinfBox { media_header: Some(media_header), dinf_box: DinfBox::LOCAL_FILE, stbl_box, unknown_boxes: Vec::new() },
            unknown_boxes: Vec::new(),
        },
        unknown_boxes: Vec::new(),
    })
}

/// Each box of some bytes: its type, where it begins, where its content begins and where it ends.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], usize, usize, usize)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (kind, content, size) = header(bytes.get(at..)?)?;
        let begin = at;
        at = at.checked_add(usize::try_from(size).ok()?)?;
        (size >= content as u64).then_some((kind, begin, begin + content, at))
    })
}

/// A box's type, the length of its header, and its whole length.
fn header(bytes: &[u8]) -> Option<([u8; 4], usize, u64)> {
    let (header, len) = BoxHeader::decode(bytes).ok()?;
    Some((header.box_type.as_bytes().try_into().ok()?, len, header.box_size.get()))
}

/// What makes a file complete; `length` is how long it is in microseconds.
pub fn complete(head: &[u8], cues: &[Cue], len: u64, length: i64) -> Completion {
    let mut patches = Vec::new();
    let millis = u32::try_from(length / 1_000).unwrap_or(u32::MAX);
    for (kind, _, content, end) in boxes(head) {
        let Some(inner) = head.get(content..end) else { break };
        if &kind == b"moov" {
            for (_, _, mvex, mvex_end) in boxes(inner).filter(|(kind, ..)| kind == b"mvex") {
                let places = boxes(inner.get(mvex..mvex_end).unwrap_or_default()).filter(|(kind, ..)| kind == b"mehd");
                // After the version and the flags.
                patches.extend(places.map(|(_, _, mehd, _)| ((content + mvex + mehd + 4) as u64, millis.to_be_bytes().to_vec())));
            }
            // Whatever is in the index's room: it may have been written half, and its power cut.
            patches
                .extend(head.len().checked_sub(end).and_then(|room| index(cues, len, length, room).or_else(|| free(room))).map(|i| (end as u64, i)));
            break;
        }
    }
    Completion { patches, tail: Vec::new() }
}

/// A box of so many bytes that says nothing.
fn free(room: usize) -> Option<Vec<u8>> {
    FreeBox { payload: vec![0; room.checked_sub(BOX_HEADER)?] }.encode_to_vec().ok()
}

/// The segment index in a room of so many bytes; what is left of that is free still.
///
/// Where sound comes first, its end is said as much too early as the first picture comes late: FFmpeg and Chromium take a picture track for as long as
/// where its index ends, and add where it begins (six seconds with a picture 0.3 s late are 6.3 s to both by a true index, and 6 s by this one).
fn index(cues: &[Cue], len: u64, length: i64, room: usize) -> Option<Vec<u8>> {
    let keys: Vec<&Cue> = cues.iter().filter(|cue| cue.key).collect();
    let first = cues.first()?;
    let step = keys.len().div_ceil(MOST_REFERENCES).max(1);
    let places: Vec<(u64, i64)> = keys.iter().step_by(step).map(|cue| (cue.position, cue.at)).collect();
    let begins = places.first()?.1;
    let scale = |at: i64| at * i64::from(PICTURE_SCALE) / 1_000_000;
    let mut references = Vec::new();
    for (n, (position, at)) in places.iter().enumerate() {
        let from = if n == 0 { first.position } else { *position };
        let (to, until) = places.get(n + 1).copied().unwrap_or((len, (length - begins).max(*at)));
        references.push(SidxReference {
            reference_type: false,
            referenced_size: u32::try_from(to - from).ok()?,
            subsegment_duration: u32::try_from(scale(until) - scale(*at)).ok()?,
            starts_with_sap: true,
            sap_type: 1,
            sap_delta_time: 0,
        });
    }
    let mut sidx = SidxBox {
        reference_id: PICTURE,
        timescale: PICTURE_SCALE,
        earliest_presentation_time: u64::try_from(scale(begins)).ok()?,
        first_offset: 0,
        references,
    };
    let left = room.checked_sub(sidx.encode_to_vec().ok()?.len()).filter(|left| *left >= BOX_HEADER)?;
    sidx.first_offset = left as u64;
    Some([sidx.encode_to_vec().ok()?, free(left)?].concat())
}

/// What is there of a file of `len` bytes, as far as its boxes' beginnings tell.
///
/// # Errors
/// Those of reading.
pub fn scan(len: u64, read: impl Fn(u64, usize) -> io::Result<Vec<u8>>) -> io::Result<Whole> {
    go_on(Whole::default(), len, read)
}

/// What is whole of a file by now, of which so much was known to be.
///
/// # Errors
/// Those of reading.
pub fn go_on(mut whole: Whole, len: u64, read: impl Fn(u64, usize) -> io::Result<Vec<u8>>) -> io::Result<Whole> {
    let (mut at, mut fragment, mut data) = (whole.len, None, false);
    while let Some((kind, content, size)) = header(&read(at, 16)?) {
        let mut end = at.saturating_add(size);
        if end > len || size < content as u64 {
            break;
        }
        match &kind {
            b"moov" => {
                // What is in the index's room is not asked: it may have been written half.
                end = end.saturating_add(INDEX_ROOM as u64);
                (whole.head, whole.len) = (end, end);
            }
            b"moof" => {
                let bytes = read(at, usize::try_from(size).unwrap_or(0))?;
                let Some(times) = MoofBox::decode(&bytes).ok().and_then(|(moof, _)| times(&moof)) else { break };
                (fragment, data) = (Some((at, times)), false);
            }
            b"mdat" => data = true,
            // The seal.
            b"free" if data => {
                let Some((position, (at, until, key))) = fragment.take() else { break };
                whole.cues.push(Cue { position, at, until, key });
                (whole.len, whole.length) = (end, until);
            }
            _ => {}
        }
        at = end;
    }
    Ok(whole)
}

/// Where a fragment begins and ends, in microseconds, and whether it begins with a key frame.
fn times(moof: &MoofBox) -> Option<(i64, i64, bool)> {
    let (mut begins, mut ends, mut key) = (i64::MAX, 0, false);
    for traf in &moof.traf_boxes {
        let scale = i64::from(if traf.tfhd_box.track_id == PICTURE { PICTURE_SCALE } else { SOUND_SCALE });
        let ticks = i64::try_from(traf.tfdt_box.as_ref()?.base_media_decode_time).ok()?;
        let samples = traf.trun_boxes.iter().flat_map(|run| &run.samples);
        let span: i64 = samples.clone().filter_map(|sample| sample.duration).map(i64::from).sum();
        begins = begins.min(ticks.checked_mul(1_000_000)? / scale);
        ends = ends.max((ticks.checked_add(span)?).checked_mul(1_000_000)? / scale);
        if traf.tfhd_box.track_id == PICTURE {
            // A sample that depends on no other.
            key = samples.clone().next().and_then(|sample| sample.flags).is_some_and(|flags| flags.get() >> 24 & 3 == 2);
        }
    }
    (begins != i64::MAX).then_some((begins, ends, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FFmpeg's reading of it: where the index ends, and where the picture begins on top.
    fn length_as_read(cues: &[Cue], length: i64) -> f64 {
        let bytes = index(cues, 9_000, length, INDEX_ROOM).expect("it has room");
        let (sidx, _) = SidxBox::decode(&bytes).expect("a segment index");
        let ends = sidx.earliest_presentation_time + sidx.references.iter().map(|reference| u64::from(reference.subsegment_duration)).sum::<u64>();
        (ends + sidx.earliest_presentation_time) as f64 / f64::from(PICTURE_SCALE)
    }

    #[test]
    fn a_file_whose_sound_comes_first_is_not_taken_for_longer_than_it_is() {
        let cue = |position, at, key| Cue { position, at, until: at + 500_000, key };
        let late = [cue(2_000, 0, false), cue(3_000, 298_000, true), cue(4_000, 800_000, false), cue(5_000, 1_300_000, true)];
        assert!((length_as_read(&late, 1_900_000) - 1.9).abs() < 0.001, "{}", length_as_read(&late, 1_900_000));
        let at_once = [cue(2_000, 0, true), cue(3_000, 500_000, true)];
        assert!((length_as_read(&at_once, 1_000_000) - 1.0).abs() < 0.001);
        assert_eq!(index(&[cue(2_000, 0, false)], 9_000, 500_000, INDEX_ROOM), None, "nothing to begin with");
    }
}
