//! `whipsink` and `whepsrc` of GStreamer's Rust plugins.
//!
//! ```text
//! whip-gstreamer publish <url> <r,g,b> <tone> <vp8|h264>    until its standard input ends
//! whip-gstreamer play <url> <r,g,b> <tone>                  says what was decoded, as JSON, once it is that colour and tone
//! ```

use std::error::Error;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_app::{AppSink, AppSinkCallbacks};

const RATE: usize = 48_000;
const PATIENCE: Duration = Duration::from_secs(25);
/// Frames that have to be of the right colour, one after another.
const ENOUGH: u64 = 40;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, url, colour, tone, rest @ ..] = &arguments[..] else { return Err("publish or play, a URL, a colour and a tone".into()) };
    let colour = colour.split(',').map(str::parse).collect::<Result<Vec<u8>, _>>()?;
    let tone: f64 = tone.parse()?;
    gst::init()?;
    gstwebrtchttp::plugin_register_static()?;
    match what.as_str() {
        "publish" => publish(url, &colour, tone, rest.first().map_or("vp8", String::as_str)),
        _ => play(url, &colour, tone),
    }
}

fn publish(url: &str, colour: &[u8], tone: f64, codec: &str) -> Outcome<()> {
    let colour = colour.iter().fold(0xff_u32, |argb, part| argb << 8 | u32::from(*part));
    let encoder = match codec {
        "h264" => {
            "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 bitrate=500 ! video/x-h264,profile=constrained-baseline ! \
             rtph264pay config-interval=-1 aggregate-mode=zero-latency ! application/x-rtp,media=video,encoding-name=H264,payload=96"
        }
        _ => {
            "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=15 target-bitrate=500000 ! rtpvp8pay picture-id-mode=2 ! \
             application/x-rtp,media=video,encoding-name=VP8,payload=96"
        }
    };
    // A ball runs over the colour, so that no two frames are alike.
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc is-live=true pattern=ball background-color={colour} ! video/x-raw,width=320,height=240,framerate=15/1 ! videoconvert ! \
         {encoder} ! whipsink name=sink whip-endpoint=\"{url}\" \
         audiotestsrc is-live=true freq={tone} volume=0.3 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay ! \
         application/x-rtp,media=audio,encoding-name=OPUS,payload=111 ! sink."
    ))?;
    pipeline.set_state(gst::State::Playing)?;
    end_with_an_error(pipeline.bus().ok_or("a pipeline without a bus")?);
    let mut nothing = Vec::new();
    std::io::stdin().read_to_end(&mut nothing)?;
    pipeline.set_state(gst::State::Null)?;
    Ok(())
}

fn end_with_an_error(bus: gst::Bus) {
    std::thread::spawn(move || {
        for message in bus.iter_timed(gst::ClockTime::NONE) {
            if let gst::MessageView::Error(error) = message.view() {
                eprintln!("{}: {:?}", error.error(), error.debug());
                std::process::exit(1);
            }
        }
    });
}

/// What has been decoded.
#[derive(Default)]
struct Decoded {
    frames: u64,
    right: u64,
    colour: Vec<u8>,
    buffers: u64,
    sound: Vec<i16>,
}

fn play(url: &str, colour: &[u8], tone: f64) -> Outcome<()> {
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("whepsrc").property("whep-endpoint", url).build()?;
    let caps = |text: &str| text.parse::<gst::Caps>();
    source.set_property("video-caps", caps("application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000")?);
    source.set_property("audio-caps", caps("application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000,encoding-params=(string)2")?);
    pipeline.add(&source)?;
    let decoded = Arc::new(Mutex::new(Decoded::default()));
    let (within, seen, wanted) = (pipeline.downgrade(), Arc::clone(&decoded), colour.to_vec());
    source.connect_pad_added(move |_, pad| {
        let Some(pipeline) = within.upgrade() else { return };
        if let Err(error) = unpack(&pipeline, pad, &seen, &wanted) {
            eprintln!("{}: {error}", pad.name());
        }
    });
    end_with_an_error(pipeline.bus().ok_or("a pipeline without a bus")?);
    pipeline.set_state(gst::State::Playing)?;
    let end = Instant::now() + PATIENCE;
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let Ok(seen) = decoded.lock() else { return Err("a decoder has panicked".into()) };
        let heard = frequency(&seen.sound);
        let is_well = seen.right >= ENOUGH && (heard - tone).abs() < 25.0;
        let said = format!("{{\"frames\":{},\"heard\":{},\"colour\":{:?},\"tone\":{heard:.0}}}", seen.frames, seen.buffers, seen.colour);
        if is_well {
            println!("{said}");
            break;
        }
        if Instant::now() > end {
            return Err(format!("not within {PATIENCE:?}: {said}").into());
        }
    }
    pipeline.set_state(gst::State::Null)?;
    Ok(())
}

/// Has what comes out of a pad unpacked and decoded, whatever it is.
fn unpack(pipeline: &gst::Pipeline, pad: &gst::Pad, decoded: &Arc<Mutex<Decoded>>, wanted: &[u8]) -> Outcome<()> {
    let decoder = gst::ElementFactory::make("decodebin").build()?;
    let (within, seen, wanted) = (pipeline.downgrade(), Arc::clone(decoded), wanted.to_vec());
    decoder.connect_pad_added(move |_, pad| {
        let Some(pipeline) = within.upgrade() else { return };
        if let Err(error) = look(&pipeline, pad, &seen, &wanted) {
            eprintln!("{}: {error}", pad.name());
        }
    });
    pipeline.add(&decoder)?;
    decoder.sync_state_with_parent()?;
    pad.link(&decoder.static_pad("sink").ok_or("no pad")?)?;
    Ok(())
}

/// Looks at what was decoded.
fn look(pipeline: &gst::Pipeline, pad: &gst::Pad, decoded: &Arc<Mutex<Decoded>>, wanted: &[u8]) -> Outcome<()> {
    let caps = pad.current_caps().ok_or("no caps")?;
    let is_video = caps.structure(0).is_some_and(|s| s.name().starts_with("video/"));
    let chain = if is_video {
        "queue ! videoconvert ! video/x-raw,format=RGB ! appsink name=out sync=false"
    } else {
        "queue ! audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=48000,channels=1 ! appsink name=out sync=false"
    };
    let bin = gst::parse::bin_from_description(chain, true)?;
    let sink = bin.by_name("out").and_then(|e| e.downcast::<AppSink>().ok()).ok_or("no sink")?;
    let (decoded, wanted) = (Arc::clone(decoded), wanted.to_vec());
    let taken = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let (buffer, caps) = (sample.buffer().ok_or(gst::FlowError::Error)?, sample.caps().ok_or(gst::FlowError::Error)?);
        let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        let mut seen = decoded.lock().map_err(|_| gst::FlowError::Error)?;
        if is_video {
            let info = gst_video::VideoInfo::from_caps(caps).map_err(|_| gst::FlowError::Error)?;
            // The lower left corner: what moves is above.
            let at = (info.height() as usize * 3 / 4) * usize::try_from(info.stride()[0]).unwrap_or(0) + 30 * 3;
            seen.colour = map.get(at..at + 3).unwrap_or_default().to_vec();
            let is_right = seen.colour.len() == 3 && seen.colour.iter().zip(&wanted).all(|(a, b)| a.abs_diff(*b) < 40);
            seen.frames += 1;
            seen.right = if is_right { seen.right + 1 } else { 0 };
        } else {
            seen.buffers += 1;
            seen.sound.extend(map.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
            let excess = seen.sound.len().saturating_sub(RATE);
            seen.sound.drain(..excess);
        }
        Ok(gst::FlowSuccess::Ok)
    };
    sink.set_callbacks(AppSinkCallbacks::builder().new_sample(taken).build());
    pipeline.add(&bin)?;
    bin.sync_state_with_parent()?;
    pad.link(&bin.static_pad("sink").ok_or("no pad")?)?;
    Ok(())
}

/// By counting where the wave of the last second goes up through zero.
fn frequency(sound: &[i16]) -> f64 {
    if sound.len() < RATE {
        return 0.0;
    }
    sound.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count() as f64 * RATE as f64 / sound.len() as f64
}
