//! Names of images, as containerd keeps them: with registry, repository and tag or digest.

/// The registry of a name without one, and the name by which old clients know it.
const HUB: &str = "docker.io";
const OLD_HUB: &str = "index.docker.io";

/// What a user's word for an image is called in full.
pub(crate) fn full(name: &str) -> String {
    let (registry, rest) = match name.split_once('/') {
        Some((OLD_HUB, rest)) => (HUB, rest),
        Some((registry, rest)) if registry == "localhost" || registry.contains(['.', ':']) => {
            (registry, rest)
        }
        _ => (HUB, name),
    };
    let library = if registry == HUB && !rest.contains('/') { "library/" } else { "" };
    let (repository, reference) = match (rest.split_once('@'), rest.rsplit_once(':')) {
        // The digest decides, whatever tag it once had.
        (Some((tagged, digest)), _) => (tagged.split(':').next().unwrap_or(tagged), format!("@{digest}")),
        (None, Some((repository, tag))) => (repository, format!(":{tag}")),
        (None, None) => (rest, ":latest".to_owned()),
    };
    format!("{registry}/{library}{repository}{reference}")
}

#[cfg(test)]
mod tests {
    use super::full;

    #[test]
    fn short_names_are_the_hubs() {
        for (name, known) in [
            ("hello", "docker.io/library/hello:latest"),
            ("hello:1", "docker.io/library/hello:1"),
            ("me/hello", "docker.io/me/hello:latest"),
            ("index.docker.io/hello", "docker.io/library/hello:latest"),
            ("localhost/hello", "localhost/hello:latest"),
            ("localhost:5000/a/hello:1", "localhost:5000/a/hello:1"),
            ("ghcr.io/me/hello@sha256:ab", "ghcr.io/me/hello@sha256:ab"),
            ("hello:1@sha256:ab", "docker.io/library/hello@sha256:ab"),
            ("", "docker.io/library/:latest"),
        ] {
            assert_eq!(full(name), known, "{name}");
            assert_eq!(full(known), known);
        }
    }
}
