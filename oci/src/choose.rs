//! Which entry of an index is meant: a Wasm platform's, else the host's, else one that names none, else the only
//! one that there is.
//!
//! The last is for Wasm that was built as another machine's image: it runs on this one as well, and containerd made
//! a container of it, so its user asked for that platform. Of two such entries nobody tells which was asked for.
//!
//! The result is a list, best first, and not one entry: a pull or an import may have fetched only the
//! host's platform, and then the better entry's manifest is not there.

use crate::document::{Descriptor, Entry, Platform};
use crate::error::Defect;

/// How an entry's platform suits us; the smallest is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A component's platform says most about what the host must offer, so it comes first.
    Wasip2,
    Wasip1,
    Wasi,
    /// An image for the host with a `.wasm` file or layer in it.
    Host,
    /// Nothing is said: an artifact pushed by a tool that knows no platforms.
    Unnamed,
}

fn rank(platform: Option<&Platform>) -> Option<Rank> {
    let Some(Platform { os, architecture }) = platform else { return Some(Rank::Unnamed) };
    match (os.as_str(), architecture.as_str()) {
        ("wasip2", "wasm" | "wasm32") => Some(Rank::Wasip2),
        ("wasip1", "wasm" | "wasm32") => Some(Rank::Wasip1),
        ("wasi", "wasm" | "wasm32") => Some(Rank::Wasi),
        ("linux", architecture) if architecture == host_architecture() => Some(Rank::Host),
        _ => None,
    }
}

/// This machine's architecture as images name it.
pub(crate) fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The entries that can be meant, best first; among equals the first written.
pub(crate) fn candidates(entries: &[Entry]) -> Result<Vec<Descriptor>, Defect> {
    let mut ranked: Vec<_> = entries
        .iter()
        .filter(|entry| !entry.is_attestation())
        .filter_map(|entry| Some((rank(entry.platform.as_ref())?, entry)))
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    // One of each rank: a second one of the same platform is never meant.
    ranked.dedup_by_key(|(rank, _)| *rank);
    let mut chosen: Vec<_> = ranked.into_iter().map(|(_, entry)| entry).collect();
    if chosen.is_empty() {
        chosen.extend(only(entries));
    }
    if chosen.is_empty() {
        return Err(Defect::NoPlatform { host: host_architecture(), offered: offered(entries) });
    }
    chosen.into_iter().map(|entry| entry.descriptor().map_err(Defect::Digest)).collect()
}

/// The entry, if there are no two.
fn only(entries: &[Entry]) -> Option<&Entry> {
    let mut images = entries.iter().filter(|entry| !entry.is_attestation());
    images.next().filter(|_| images.next().is_none())
}

/// The platforms of an index for a message: a few, and each cut, for they are the image's own words.
fn offered(entries: &[Entry]) -> String {
    let platforms =
        entries.iter().filter(|entry| !entry.is_attestation()).filter_map(|e| e.platform.as_ref());
    let shown: Vec<_> = platforms
        .take(8)
        .map(|platform| platform.to_string().chars().take(40).collect::<String>().escape_debug().to_string())
        .collect();
    if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    /// An index entry for each `os/architecture`, `-` for one without a platform.
    fn entries(platforms: &[&str]) -> Vec<Entry> {
        let entry = |platform: &&str| {
            let mut entry = serde_json::json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": Digest::of(platform.as_bytes()), "size": 1,
            });
            if let Some((os, architecture)) = platform.split_once('/') {
                entry["platform"] = serde_json::json!({"os": os, "architecture": architecture});
            }
            serde_json::from_value(entry).expect("an entry")
        };
        platforms.iter().map(entry).collect()
    }

    #[test]
    fn wasm_comes_before_the_host_and_the_host_before_silence() {
        let host = &format!("linux/{}", host_architecture());
        for (offered, wanted) in [
            (vec!["wasip1/wasm"], vec!["wasip1/wasm"]),
            (vec!["wasi/wasm32"], vec!["wasi/wasm32"]),
            (vec![host.as_str()], vec![host.as_str()]),
            (vec!["-"], vec!["-"]),
            (vec!["linux/s390x", host, "wasip1/wasm"], vec!["wasip1/wasm", host]),
            (
                vec!["-", "wasi/wasm", host, "wasip1/wasm", "wasip2/wasm"],
                vec!["wasip2/wasm", "wasip1/wasm", "wasi/wasm", host, "-"],
            ),
            (vec![host, "unknown/unknown"], vec![host]),
            (vec!["windows/amd64", "wasip2/wasm"], vec!["wasip2/wasm"]),
            (vec!["linux/s390x"], vec!["linux/s390x"]),
            (vec!["unknown/unknown", "windows/amd64"], vec!["windows/amd64"]),
            // The same platform twice: the first is meant, as everywhere.
            (vec!["wasip1/wasm32", "wasip1/wasm"], vec!["wasip1/wasm32"]),
        ] {
            let chosen = candidates(&entries(&offered)).expect("a choice");
            let digests: Vec<_> = chosen.into_iter().map(|descriptor| descriptor.digest).collect();
            let wanted: Vec<_> = wanted.iter().map(|platform| Digest::of(platform.as_bytes())).collect();
            assert_eq!(digests, wanted, "of {offered:?}");
        }
    }

    #[test]
    fn an_index_for_others_names_what_it_offers() {
        let refused = candidates(&entries(&["linux/s390x", "windows/amd64", "unknown/unknown"])).unwrap_err();
        let message = refused.to_string();
        assert!(message.ends_with("it offers linux/s390x, windows/amd64"), "{message}");
        assert!(candidates(&[]).unwrap_err().to_string().ends_with("it offers nothing"));
    }

    #[test]
    fn a_hostile_platform_does_not_flood_the_message() {
        let flood = format!("evil\n{}/x", "y".repeat(1 << 16));
        let message = candidates(&entries(&[flood.as_str(); 100])).unwrap_err().to_string();
        assert!(message.len() < 1000 && !message.contains('\n'), "{message}");
    }

    #[test]
    fn attestations_are_passed_over_by_their_annotation_too() {
        let mut index = entries(&["-"]);
        let annotated = serde_json::json!({
            "digest": "none", "size": 0, "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
        });
        index.insert(0, serde_json::from_value(annotated).expect("an entry"));
        assert_eq!(candidates(&index).expect("a choice").len(), 1);
    }
}
