//! What `/metrics` says after a call.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::files::{boards, metrics_in, panels, queries};
use crate::folder::Folder;
use crate::node::{get, promtool, start};

/// A node that nobody has called yet shows every metric with every label but those that only a client's doing makes.
#[tokio::test(flavor = "multi_thread")]
async fn promtool_has_nothing_against_the_metrics_and_alerts_and_dashboards_ask_for_no_other() {
    let folder = Folder::new("metrics");
    let node = start(&folder.0, |_| ()).await;
    let (status, text) = get(node.admin, "/metrics").await;
    assert_eq!(status, 200);
    let (good, said) = promtool(&["check", "metrics"], Some(&text));
    assert!(good && said.trim().is_empty(), "{said}");
    let mut known: BTreeSet<String> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned).collect();
    let spread: Vec<String> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" histogram")).map(str::to_owned).collect();
    known.extend(spread.iter().flat_map(|name| ["bucket", "sum", "count"].map(|part| format!("{name}_{part}"))));
    // Series that begin with the first of their kind.
    known
        .extend(["althing_signaling_messages_total", "althing_signaling_errors_total", "althing_tls_certificate_expires_seconds"].map(str::to_owned));
    let asked = boards()
        .iter()
        .flat_map(|(_, board)| panels(board).into_iter().flat_map(queries).flat_map(metrics_in).collect::<Vec<_>>())
        .collect::<Vec<_>>();
    let rules = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/alerts.yml")).expect("rules");
    for name in asked.into_iter().chain(metrics_in(&rules)) {
        assert!(known.contains(&name), "there is no metric {name}");
    }
    for label in ["room", "member", "track", "peer", "address"] {
        assert!(!text.contains(&format!("{label}=\"")), "{label} is a label");
    }
    node.shut_down().await;
}
