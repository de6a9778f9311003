//! The certificate, and whether browsers give camera and microphone.

use super::Finding;
use crate::tls::TlsError;

/// Fewer days, and somebody should look why it is not renewed: authorities' certificates are renewed at 30.
const FEW_DAYS: i64 = 14;
const DAY: i64 = 86_400;

/// What there is.
#[derive(Debug)]
pub enum Certificate {
    /// No TLS; whether only this machine reaches the listener.
    Off {
        /// `http.listen` is a loopback address.
        local: bool,
    },
    /// None yet: the node makes or orders it.
    Pending,
    /// One that can be shown.
    Shown {
        /// Until when it is valid, in seconds since 1970.
        not_after: i64,
        /// Whether it is for the host that was asked for.
        fits: bool,
    },
    /// None that could be shown.
    Unusable(TlsError),
}

/// `url`: where browsers find the page, with its scheme and host; `now`: seconds since 1970.
pub fn of_certificate(certificate: &Certificate, url: Option<(&str, &str)>, now: i64) -> Finding {
    let host = url.map_or("", |(_, host)| host);
    match certificate {
        Certificate::Off { .. } if url.is_some_and(|(scheme, _)| scheme == "https") => {
            Finding::ok("tls_in_front", format!("TLS is ended in front of this server, by whatever serves https://{host}."))
        }
        Certificate::Off { local: true } => {
            Finding::ok("tls_off", "Without TLS, on this machine alone: right for localhost, and behind a proxy that ends TLS.")
        }
        Certificate::Off { local: false } => Finding::warning(
            "tls_off",
            "Without TLS, browsers on other machines get neither camera nor microphone: plain HTTP gives them to localhost only.",
            "set tls.mode to \"acme\" or \"files\" (to try it out \"dev\": `make run TLS=dev`), or put a proxy that ends TLS in front and name it with --url",
        ),
        Certificate::Pending => Finding::ok("certificate_pending", "There is no certificate yet: the node gets it when it starts."),
        Certificate::Unusable(error) => Finding::problem("certificate_unusable", sentence(&error.what), error.advice.clone()),
        Certificate::Shown { fits: false, .. } => Finding::problem(
            "certificate_other_name",
            format!("The certificate is not for {host}: browsers refuse the page."),
            format!("get one for {host}, or have people open the name that it is for"),
        ),
        Certificate::Shown { not_after, .. } => {
            let days = (not_after - now) / DAY;
            if days < FEW_DAYS {
                let what = format!("The certificate expires in {days} days.");
                return Finding::warning("certificate_expires", what, "renew it; if that should happen by itself, the log says why it does not");
            }
            Finding::ok("certificate", format!("The certificate is good for another {days} days."))
        }
    }
}

/// Whether an authority that speaks ACME finds the pages' listener, which is at this port.
pub fn of_challenge(port: u16) -> Option<Finding> {
    (port != 443).then(|| {
        Finding::warning(
            "acme_port",
            format!(
                "The authority looks for this server at port 443, and pages are served at {port}: it gives no certificate unless 443 leads there."
            ),
            format!("set http.listen to \"0.0.0.0:443\", or forward port 443 to {port}"),
        )
    })
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).chain(['.']).collect()).unwrap_or_default()
}
