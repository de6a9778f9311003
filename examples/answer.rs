//! Answers offers as the server would: a JSON line in, a JSON line out, one connection for the life of the process. For the browser checks
//! in `tests/tools`.
//!
//! In: `{"sdp": …, "ufrag": …, "pwd": …}`, and with the first one also `"fingerprint"` and `"candidates"` (`["127.0.0.1:5000"]`).
//! Out: `{"sdp": …, "pairs": …, "plan": …}` or `{"error": …}`.

use std::io::{BufRead, Write};

use althing::contract::DataLimits;
use althing::sdp::{Fresh, Local, Offer, OfferLimits, Session};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut session = None;
    for (seed, line) in std::io::stdin().lock().lines().enumerate() {
        let request: Value = serde_json::from_str(&line?)?;
        let session = session.get_or_insert_with(|| Session::new(local(&request)));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", answer(session, &request, seed as u64))?;
        out.flush()?;
    }
    Ok(())
}

fn answer(session: &mut Session, request: &Value, ssrc_seed: u64) -> Value {
    let fresh = Fresh { ufrag: text(request, "ufrag"), pwd: text(request, "pwd"), ssrc_seed };
    let limits = OfferLimits { max_mlines: 64, max_bytes: 512 * 1024 };
    let answer = Offer::parse(&text(request, "sdp"), &limits).and_then(|offer| session.answer(&offer, fresh));
    match answer {
        Ok(answer) => {
            let receive: Vec<_> = answer.media.receive.iter().map(|r| {
                json!({ "mid": r.mid.to_string(), "kind": format!("{:?}", r.kind), "rids": r.rids.iter().map(ToString::to_string).collect::<Vec<_>>(), "ssrcs": r.ssrcs.iter().flat_map(|(s, r)| [Some(*s), *r]).flatten().collect::<Vec<_>>() })
            }).collect();
            json!({ "sdp": answer.sdp, "pairs": answer.pairs.len(), "receive": receive, "plan": format!("{answer:#?}") })
        }
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn local(request: &Value) -> Local {
    let candidates = request["candidates"].as_array().into_iter().flatten();
    Local {
        fingerprint_sha256: text(request, "fingerprint"),
        candidates: candidates.filter_map(|c| c.as_str()?.parse().ok()).collect(),
        tcp: true,
        cname: "althing".to_owned(),
        session_id: 1,
        data: Some(DataLimits::default()),
        publish: None,
    }
}

fn text(request: &Value, key: &str) -> String {
    request[key].as_str().unwrap_or_default().to_owned()
}
