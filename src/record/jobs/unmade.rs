//! Why something is not made, for answers and for people.

/// Why something is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmade {
    /// There is no FFmpeg: the setting `jobs.ffmpeg` names none that can be started.
    NoProgram,
    /// The FFmpeg that there is cannot write this.
    NoEncoder,
    /// There is nothing of this in the file: no picture, or no sound.
    Nothing,
    /// The file is gone, or is not one of ours.
    Gone,
    /// Too many others wait.
    Busy,
    /// Somebody has taken it back, or the node ends.
    Cancelled,
    /// It took too long, and was ended.
    TooLong,
    /// The disk has less room than it is to keep.
    Full,
    /// What it is made of is in the bucket alone, and that refuses.
    Away,
    /// It went wrong; what was said about it, which may name files.
    Failed(String),
}

impl Unmade {
    /// Its name in answers.
    pub const fn code(&self) -> &'static str {
        match self {
            Unmade::NoProgram => "no_ffmpeg",
            Unmade::NoEncoder => "no_encoder",
            Unmade::Nothing => "nothing_to_show",
            Unmade::Gone => "not_found",
            Unmade::Busy => "busy",
            Unmade::Cancelled => "cancelled",
            Unmade::TooLong => "too_long",
            Unmade::Full => "disk_full",
            Unmade::Away => "storage_unavailable",
            Unmade::Failed(_) => "failed",
        }
    }

    /// A sentence for whoever asked.
    pub const fn detail(&self) -> &'static str {
        match self {
            Unmade::NoProgram => "this server has no FFmpeg, which decodes pictures and sound: install it, or set jobs.ffmpeg",
            Unmade::NoEncoder => "the FFmpeg of this server cannot write this kind of file: choose the other one",
            Unmade::Nothing => "there is no picture, or no sound, to make it of",
            Unmade::Gone => "the file is not there",
            Unmade::Busy => "too much is waiting to be made already: try again later",
            Unmade::Cancelled => "it was taken back",
            Unmade::TooLong => "it took too long, and was ended",
            Unmade::Full => "the disk of this server has too little room left",
            Unmade::Away => "what it is made of is in another place, which does not answer: try again later",
            Unmade::Failed(_) => "the file could not be decoded",
        }
    }
}
