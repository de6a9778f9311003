//! m-lines that say the same: the slots of a browser's offer repeat one another word for word, except for their mid. Reading each kind
//! of them once halves what an offer of Chromium costs, and an offer with many slots costs hardly more than one with few.

use std::borrow::Cow;

/// Distinct m-lines that a further one is held against, the latest ones. A browser has four kinds; more would let a hostile offer of many
/// nearly equal ones take long.
pub(super) const HELD_AGAINST: usize = 8;

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

/// Takes out the m-lines that repeat an earlier one but for their mid. Where lines end in an unusual way, everything is kept.
pub(super) fn shorten(sdp: &str) -> Shortened<'_> {
    let bytes = sdp.as_bytes();
    let after = |at: usize| bytes.get(at + 1..).unwrap_or_default();
    // Found by one byte: a search for several is slower than this whole function.
    let starts: Vec<usize> = sdp.match_indices('\n').filter(|(at, _)| after(*at).starts_with(b"m=")).map(|(at, _)| at + 1).collect();
    let usual = sdp.match_indices('\r').all(|(at, _)| after(at).first().is_none_or(|next| *next == b'\n'));
    let Some(first) = starts.first().copied().filter(|_| usual && !sdp.starts_with("m=")) else {
        return whole(sdp);
    };
    let ends = starts.iter().skip(1).copied().chain([sdp.len()]);
    let mut text = String::from(sdp.get(..first).unwrap_or_default());
    let (mut mlines, mut distinct, mut kept) = (Vec::with_capacity(starts.len()), Vec::<Mline<'_>>::new(), 0);
    for (index, (start, end)) in starts.iter().copied().zip(ends).enumerate() {
        let section = sdp.get(start..end).unwrap_or_default();
        let mline = around_mid(section, index);
        let same = mline.as_ref().and_then(|m| {
            let known = distinct.iter().rev().take(HELD_AGAINST).find(|k| (k.before, k.after) == (m.before, m.after))?;
            Some(Place::As(known.index, m.mid))
        });
        mlines.push(same.unwrap_or(Place::Kept(kept)));
        if same.is_none() {
            kept += 1;
            text.push_str(section);
            distinct.extend(mline);
        }
    }
    if kept == mlines.len() { whole(sdp) } else { Shortened { text: text.into(), mlines } }
}

/// Nothing is taken out; m-lines are counted by whoever reads the text.
pub(super) fn whole(sdp: &str) -> Shortened<'_> {
    Shortened { text: sdp.into(), mlines: Vec::new() }
}

/// The m-line's text before and after its mid; `None` when it has none, or several.
fn around_mid(section: &str, index: usize) -> Option<Mline<'_>> {
    const MID: &str = "\na=mid:";
    let (before, rest) = section.split_once(MID)?;
    let (mid, after) = rest.split_once('\n')?;
    let only = !rest.contains(MID);
    only.then_some(Mline { before, mid: mid.trim_end(), after, index })
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
