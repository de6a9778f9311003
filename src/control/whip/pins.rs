//! What a path of WHEP names: members, what they share, whoever speaks.

use crate::control::Refusal;
use crate::control::auth::member_of_path;
use crate::control::rooms::Pin;
use crate::wire::ErrorCode;

/// In a path: whoever speaks. No identity has this form.
pub const SPEAKER: &str = "@speaker";
/// In a path: a screen that somebody shares.
const SCREEN: &str = "@screen";
/// In a path, behind an identity: what this member shares.
const OF_SCREEN: &str = ":screen";

/// What each slot pair shows, in the order of the path.
///
/// # Errors
/// `InvalidName` where something of it is none of these, `LimitExceeded` where there are more than `most`.
pub fn pins_of_path(text: &str, most: usize) -> Result<Vec<Pin>, Refusal> {
    let pins = text.split(',').take(most.saturating_add(1)).map(pin_of_path).collect::<Result<Vec<_>, _>>()?;
    if pins.len() > most {
        return Err(Refusal::new(ErrorCode::LimitExceeded, format!("at most {most} members are played at once")));
    }
    Ok(pins)
}

fn pin_of_path(text: &str) -> Result<Pin, Refusal> {
    match (text, text.strip_suffix(OF_SCREEN)) {
        (SPEAKER, _) => Ok(Pin::Speaker),
        (SCREEN, _) => Ok(Pin::Screen),
        (_, Some(member)) => Ok(Pin::Member { member: member_of_path(member)?, screen: true }),
        _ => member_of_path(text).map(Pin::member),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::MemberId;

    #[test]
    fn a_path_names_members_screens_and_whoever_speaks() {
        let ada = || MemberId("ada".into());
        assert_eq!(
            pins_of_path("ada,@speaker,ada:screen,@screen,@speaker", 5),
            Ok(vec![Pin::member(ada()), Pin::Speaker, Pin::Member { member: ada(), screen: true }, Pin::Screen, Pin::Speaker])
        );
        for bad in ["", "ada,", "@", "@nobody", "ada:", "ada:camera", ":screen", "@speaker:screen", "a b"] {
            assert_eq!(pins_of_path(bad, 5).map_err(|r| r.code), Err(ErrorCode::InvalidName), "{bad}");
        }
        assert_eq!(pins_of_path("a,b,c", 2).map_err(|r| r.code), Err(ErrorCode::LimitExceeded));
    }
}
