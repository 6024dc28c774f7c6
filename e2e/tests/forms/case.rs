//! One form as an image: its bytes are like no other form's, and so is what it prints.
//!
//! What one form leaves in a content store or among the snapshots is then no help to another.

use pinnace_conformance::guests;
use pinnace_oci::build::{Image, Index};
use pinnace_oci::support::{Carrier, ConfigKind, Form, Wrapping};

/// A guest that prints this line, of 15 characters at most. All of them are of one length.
pub(crate) fn saying(line: &str) -> Vec<u8> {
    wat::parse_str(text(line)).expect("a guest")
}

fn text(line: &str) -> String {
    // As long as what `hello` prints, for its length is part of the guest.
    let hello = include_str!("../../../runtimes/conformance/guests/hello.wat");
    hello.replace("hello from wasm", &format!("{line:<15}"))
}

/// A form, built.
pub(crate) struct Case {
    /// Which form it is.
    pub(crate) form: Form,
    /// The image without a registry's name, with a tag.
    pub(crate) name: String,
    /// What a container of it must print.
    pub(crate) output: String,
    /// The command that its configuration gives, or should give.
    pub(crate) command: &'static [&'static str],
}

/// Prints the file that its first argument names.
const PRINTER: &[&str] = &["/app.wasm", "/form"];

impl Case {
    pub(crate) fn new(number: usize, form: &Form) -> Self {
        let mark = format!("form {number:010}\n");
        let command: &[&str] = match form.carrier {
            Carrier::Text => &["/app.wat"],
            Carrier::Layer(_) if form.files => PRINTER,
            Carrier::File | Carrier::Layer(_) => &["/app.wasm"],
        };
        Self { form: form.clone(), name: format!("form:{number}"), output: mark, command }
    }

    /// The image under this name, as an archive.
    pub(crate) fn archive(&self, name: &str) -> Vec<u8> {
        let mut archive = Vec::new();
        let written = match self.index() {
            Some(index) => index.archive(name, &mut archive),
            None => self.image().archive(name, &mut archive),
        };
        written.expect("an archive");
        archive
    }

    /// The index around it, if there is one.
    pub(crate) fn index(&self) -> Option<Index> {
        match self.form.wrapping {
            Wrapping::Manifest => None,
            Wrapping::Index => Some(Index::new().image(self.image())),
            Wrapping::Attested => Some(Index::new().image(self.image()).attested()),
        }
    }

    /// The platform as flags have it.
    pub(crate) fn platform(&self) -> String {
        self.form.platform.to_string()
    }

    /// The image of its platform.
    pub(crate) fn image(&self) -> Image {
        let Form { carrier, config, ref platform, files, .. } = self.form;
        let rootfs =
            Image::rootfs().platform(&platform.os, &platform.architecture).entrypoint(self.command.to_vec());
        let image = match carrier {
            Carrier::File => rootfs.file("/app.wasm", self.module(), 0o755),
            Carrier::Text => rootfs.file("/app.wat", text(self.output.trim_end()), 0o755),
            Carrier::Layer(media) => {
                let rootfs = if files { rootfs.file("/form", self.output.as_bytes(), 0o644) } else { rootfs };
                let wasm =
                    if platform.os == "wasip2" { guests::component(&self.module()) } else { self.module() };
                rootfs.wasm_layer(media, wasm)
            }
        };
        if config == ConfigKind::Wasm { image.wasm_config() } else { image }
    }

    /// The guest: it says the mark itself, or prints the file that says it.
    fn module(&self) -> Vec<u8> {
        if self.command != PRINTER {
            return saying(self.output.trim_end());
        }
        let mut module = guests::cat_file_p1();
        // A custom section, named by the mark and empty.
        let name = self.output.as_bytes();
        let length = u8::try_from(name.len()).expect("a short mark");
        module.extend([0, length + 1, length]);
        module.extend(name);
        module
    }
}
