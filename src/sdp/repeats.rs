//! m-lines that say the same: the slots of a browser's offer repeat one another word for word, except for their mid. Reading each kind
//! of them once halves what an offer of Chromium costs, and an offer with many slots costs hardly more than one with few.

use std::borrow::Cow;

use memchr::memchr_iter;

/// Distinct m-lines that a further one is held against, the latest ones. A browser has four kinds; more would let a hostile offer of many
/// nearly equal ones take long.
pub(super) const HELD_AGAINST: usize = 8;

/// How the line with a mid begins.
const MID: &str = "a=mid:";

/// An offer without its repetitions.
pub(super) struct Shortened<'a> {
    /// The text that is left.
    pub text: Cow<'a, str>,
    /// Each m-line of the offer, in its order.
    pub mlines: Vec<Place<'a>>,
}

/// Where what an m-line says is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// In the text that is left: the n-th m-line there.
    Kept(usize),
    /// It says what an earlier m-line of the offer says, with this value of `a=mid`.
    As(usize, &'a str),
}

/// An m-line's text around the one line with its mid.
struct Mline<'a> {
    before: &'a str,
    mid: &'a str,
    after: &'a str,
    /// Its place in the offer.
    index: usize,
}

/// Where an m-line begins, and where its lines with a mid do.
struct Start {
    at: usize,
    mids: usize,
    mid: usize,
}

/// Takes out the m-lines that repeat an earlier one but for their mid. Where lines end in an unusual way, everything is kept.
pub(super) fn shorten(sdp: &str) -> Shortened<'_> {
    let bytes = sdp.as_bytes();
    let next = |at: usize| bytes.get(at + 1..).unwrap_or_default();
    let mut starts: Vec<Start> = Vec::new();
    for end_of_line in memchr_iter(b'\n', bytes) {
        let (line, at) = (next(end_of_line), end_of_line + 1);
        if line.starts_with(b"m=") {
            starts.push(Start { at, mids: 0, mid: 0 });
        } else if let Some(start) = starts.last_mut()
            && line.starts_with(MID.as_bytes())
        {
            (start.mids, start.mid) = (start.mids + 1, at);
        }
    }
    let usual = !sdp.starts_with("m=") && memchr_iter(b'\r', bytes).all(|at| next(at).first().is_none_or(|next| *next == b'\n'));
    let Some(first) = starts.first().map(|start| start.at).filter(|_| usual) else {
        return whole(sdp);
    };
    let ends = starts.iter().skip(1).map(|start| start.at).chain([sdp.len()]);
    let mut text = String::from(sdp.get(..first).unwrap_or_default());
    let (mut mlines, mut distinct, mut kept) = (Vec::with_capacity(starts.len()), Vec::<Mline<'_>>::new(), 0);
    for (index, (start, end)) in starts.iter().zip(ends).enumerate() {
        let mline = if start.mids == 1 { around_mid(sdp, start, end, index) } else { None };
        let same = mline.as_ref().and_then(|m| {
            let known = distinct.iter().rev().take(HELD_AGAINST).find(|k| (k.before, k.after) == (m.before, m.after))?;
            Some(Place::As(known.index, m.mid))
        });
        mlines.push(same.unwrap_or(Place::Kept(kept)));
        if same.is_none() {
            kept += 1;
            text.push_str(sdp.get(start.at..end).unwrap_or_default());
            distinct.extend(mline);
        }
    }
    if kept == mlines.len() { whole(sdp) } else { Shortened { text: text.into(), mlines } }
}

/// Nothing is taken out; m-lines are counted by whoever reads the text.
pub(super) fn whole(sdp: &str) -> Shortened<'_> {
    Shortened { text: sdp.into(), mlines: Vec::new() }
}

/// The m-line's text before and after its mid.
fn around_mid<'a>(sdp: &'a str, start: &Start, end: usize, index: usize) -> Option<Mline<'a>> {
    let (before, rest) = (sdp.get(start.at..start.mid)?, sdp.get(start.mid + MID.len()..end)?);
    let (mid, after) = rest.split_once('\n')?;
    Some(Mline { before, mid: mid.trim_end(), after, index })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = "v=0\r\na=group:BUNDLE 0 1 2\r\n";

    #[test]
    fn slots_that_differ_in_their_mid_alone_are_read_once() {
        let sections =
            ["m=audio 9\r\na=mid:0\r\na=x\r\n", "m=video 9\r\na=mid:1\r\n", "m=audio 9\r\na=mid:22\r\na=x\r\n", "m=video 9\r\na=mid:3\r\na=y\r\n"];
        let sdp = format!("{SESSION}{}", sections.concat());
        let short = shorten(&sdp);
        assert_eq!(short.mlines, [Place::Kept(0), Place::Kept(1), Place::As(0, "22"), Place::Kept(2)]);
        assert_eq!(short.text, format!("{SESSION}{}{}{}", sections[0], sections[1], sections[3]));
    }

    #[test]
    fn what_is_unusual_is_kept() {
        let twice = |section: &str| format!("{SESSION}{section}{section}");
        for sdp in [
            twice("m=audio 9\r\na=x\r\n"),
            twice("m=audio 9\r\na=mid:0\r\na=mid:0\r\n"),
            twice("m=audio 9\r\na=mid:0\ra=x\r\n"),
            "m=audio 9\r\na=mid:0\r\nm=audio 9\r\na=mid:1\r\n".to_owned(),
            SESSION.to_owned(),
            String::new(),
        ] {
            assert_eq!((shorten(&sdp).text, shorten(&sdp).mlines.len()), (Cow::from(sdp.as_str()), 0));
        }
    }
}
