//! Which entry of an index is meant: a Wasm platform's, else the host's, else one that names none.
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
    if ranked.is_empty() {
        return Err(Defect::NoPlatform { host: host_architecture(), offered: offered(entries) });
    }
    ranked.into_iter().map(|(_, entry)| entry.descriptor().map_err(Defect::Digest)).collect()
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
