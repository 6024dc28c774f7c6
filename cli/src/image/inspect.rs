//! `pinnace image inspect`: what an image is, what its Wasm needs, where it runs.
//!
//! Everything is gathered first, as the JSON has it; the text is made from that.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use pinnace_oci::files::{Image, Manifest, Named, Program, Rootfs, Store};
use pinnace_oci::support::{Form, Verdict, Wrapping, runs_where};
use pinnace_oci::{Descriptor, Digest};
use serde::Serialize;

use super::world::World;
use super::{ImageError, report};

/// What to look at.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// An OCI archive, an OCI layout, or the output of `docker save`
    #[arg(value_name = "IMAGE")]
    path: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One image.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    pub(super) name: Option<String>,
    pub(super) digest: Digest,
    /// An index, or a manifest.
    pub(super) media_type: String,
    pub(super) attested: bool,
    pub(super) manifests: Vec<SeenManifest>,
    /// What a user of such an index should know.
    pub(super) note: Option<&'static str>,
    /// Platforms of the index that the file does not hold.
    pub(super) absent: Vec<String>,
    /// The form that decides where it runs: that of this machine's entry, else of the Wasm platform's.
    pub(super) form: Option<String>,
    pub(super) runs: Vec<Run>,
}

/// One platform's image.
#[derive(Debug, Serialize)]
pub(super) struct SeenManifest {
    pub(super) platform: String,
    pub(super) digest: Digest,
    pub(super) config: Blob,
    pub(super) layers: Vec<Blob>,
    pub(super) entrypoint: Vec<String>,
    pub(super) cmd: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) workdir: String,
    pub(super) user: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) wasm: Option<SeenWasm>,
    /// Why there is no Wasm.
    pub(super) nothing: Option<String>,
}

/// A blob.
#[derive(Debug, Serialize)]
pub(super) struct Blob {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// The Wasm of an image.
#[derive(Debug, Serialize)]
pub(super) struct SeenWasm {
    /// Its path in the root, or that it is a layer.
    pub(super) at: String,
    pub(super) digest: Digest,
    pub(super) size: usize,
    pub(super) text: bool,
    #[serde(flatten)]
    pub(super) world: Option<World>,
    /// Why the world cannot be told.
    pub(super) invalid: Option<String>,
}

/// What becomes of the image at one place.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) client: String,
    pub(super) version: &'static str,
    pub(super) verdict: &'static str,
    /// What the user has to do, or why it does not run.
    pub(super) note: Option<&'static str>,
}

impl Inspect {
    pub(super) fn run(&self) -> Result<String, ImageError> {
        let store = Store::open(&self.path)?;
        let images = store.images()?;
        if images.is_empty() {
            return Err(ImageError::Empty { path: self.path.clone() });
        }
        let seen = images.iter().map(|named| look(&store, named)).collect::<Result<Vec<_>, _>>()?;
        if self.json {
            // Text of a map with text as keys: this does not fail.
            return Ok(serde_json::to_string_pretty(&seen).unwrap_or_default() + "\n");
        }
        Ok(report::text(&seen))
    }
}

fn look(store: &Store, named: &Named) -> Result<Seen, ImageError> {
    let image = store.image(named)?;
    let mut manifests = Vec::new();
    let mut forms = Vec::new();
    for manifest in &image.manifests {
        let rootfs = Rootfs::read(store, manifest)?;
        let program = Program::find(store, manifest, &rootfs)?;
        forms.push((manifest, image.form(manifest, &program)));
        manifests.push(seen(manifest, &program));
    }
    let form = decisive(&image, &forms);
    Ok(Seen {
        name: named.name.clone(),
        digest: named.target.digest,
        media_type: named.target.media_type.clone(),
        attested: image.wrapping == Wrapping::Attested,
        manifests,
        note: note(&image),
        absent: image.absent.iter().map(ToString::to_string).collect(),
        form: form.map(ToString::to_string),
        runs: form.map(runs).unwrap_or_default(),
    })
}

/// containerd tells the shim the image of a container, and not which of its platforms the user chose.
fn note(image: &Image) -> Option<&'static str> {
    let wasm = image.manifests.iter().filter(|manifest| manifest.platform.architecture.starts_with("wasm"));
    (wasm.count() > 1).then_some(
        "of layers for several Wasm platforms wasip2 runs, else wasip1, else wasi, whatever --platform says",
    )
}

/// The form by which clients judge the image.
fn decisive<'a>(image: &Image, forms: &'a [(&Manifest, Option<Form>)]) -> Option<&'a Form> {
    let taken = image.taken()?.descriptor.digest;
    forms.iter().find(|(manifest, _)| manifest.descriptor.digest == taken)?.1.as_ref()
}

fn runs(form: &Form) -> Vec<Run> {
    let run = |(place, verdict): (pinnace_oci::support::Place, Verdict)| {
        let (verdict, note) = match verdict {
            Verdict::Runs => ("runs", None),
            Verdict::With(how) => ("with", Some(how)),
            Verdict::Refused(why) => ("refused", Some(why)),
        };
        Run { client: place.client.to_string(), version: place.version, verdict, note }
    };
    runs_where(form).into_iter().map(run).collect()
}

fn seen(manifest: &Manifest, program: &Program) -> SeenManifest {
    let config = &manifest.config;
    SeenManifest {
        platform: manifest.platform.to_string(),
        digest: manifest.descriptor.digest,
        config: blob(&config.descriptor),
        layers: manifest.layers.iter().map(|layer| blob(&layer.descriptor)).collect(),
        entrypoint: config.entrypoint(),
        cmd: config.cmd(),
        env: config.env(),
        workdir: config.workdir(),
        user: config.user().map(str::to_owned),
        labels: config.labels(),
        annotations: manifest.annotations.clone(),
        wasm: wasm(program),
        nothing: match program {
            Program::Nothing(why) => Some(why.to_string()),
            _ => None,
        },
    }
}

fn blob(descriptor: &Descriptor) -> Blob {
    let Descriptor { media_type, digest, size } = descriptor.clone();
    Blob { media_type, digest, size }
}

fn wasm(program: &Program) -> Option<SeenWasm> {
    let wasm = program.wasm()?;
    let at = match program {
        Program::File { path, .. } => path.clone(),
        _ => "layer".to_owned(),
    };
    let world = if wasm.text {
        wat::parse_bytes(&wasm.bytes)
            .map_err(|error| error.to_string().escape_debug().to_string())
            .and_then(|binary| World::of(&binary))
    } else {
        World::of(&wasm.bytes)
    };
    let (world, invalid) = match world {
        Ok(world) => (Some(world), None),
        Err(reason) => (None, Some(reason)),
    };
    let (digest, size, text) = (Digest::of(&wasm.bytes), wasm.bytes.len(), wasm.text);
    Some(SeenWasm { at, digest, size, text, world, invalid })
}
