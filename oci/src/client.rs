//! containerd's gRPC API: containers, images, content. The only module that knows protobuf.
//!
//! One channel while anything is asked, none between: a server that waits for its containers to end has
//! no use for 100 KB of buffers, and one that asks again after a restart of containerd meets the new one.
//! Every call has five seconds. Blobs are read in slices, so that no answer is larger than one.

use std::error::Error;
use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use containerd_client::services::v1::containers_client::ContainersClient;
use containerd_client::services::v1::content_client::ContentClient;
use containerd_client::services::v1::images_client::ImagesClient;
use containerd_client::services::v1::{GetContainerRequest, GetImageRequest, ReadContentRequest};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::blob::{Blob, NotTaken};
use crate::document::Descriptor;
use crate::error::{CallError, Defect, ImageError};
use crate::walk::{Step, Walk, readable};
use crate::{Digest, Memo, WasmLayer};

/// A healthy containerd answers within milliseconds; one busy with a pull still within this.
const CALL: Duration = Duration::from_secs(5);

/// containerd, as one namespace sees it.
#[derive(Debug)]
pub struct Containerd {
    address: PathBuf,
    namespace: MetadataValue<Ascii>,
    open: Mutex<Weak<Channel>>,
}

/// The image of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// Its name, as `ctr images ls` shows it.
    pub name: String,
    /// Its index or manifest.
    pub target: Descriptor,
}

/// What is of interest of an image's manifest.
struct Manifest {
    config: Option<Digest>,
    layer: Option<WasmLayer>,
    /// False for a lesser choice for want of a better one's content, which a pull of the same image may mend.
    settled: bool,
}

impl Containerd {
    /// Nothing is connected until the first call.
    ///
    /// # Errors
    /// When no header can carry `namespace`.
    pub fn new(address: impl Into<PathBuf>, namespace: &str) -> Result<Self, ImageError> {
        let namespace = namespace.parse().map_err(|_| ImageError::Namespace(namespace.to_owned()))?;
        Ok(Self { address: address.into(), namespace, open: Mutex::default() })
    }

    /// The image that a container was made from: two small calls. `None` for one made without an image
    /// (`ctr run --rootfs`).
    ///
    /// # Errors
    /// When containerd cannot be reached, or does not know the container or its image.
    pub async fn image_of(&self, container: &str) -> Result<Option<ImageRef>, ImageError> {
        let channel = self.channel().await?;
        let request = self.request(GetContainerRequest { id: container.to_owned() });
        let record = call(ContainersClient::new(Channel::clone(&channel)).get(request))
            .await
            .map_err(|call| ImageError::Container { container: container.to_owned(), call })?;
        match record.container.map(|container| container.image).filter(|image| !image.is_empty()) {
            Some(name) => self.image(name).await.map(Some),
            None => Ok(None),
        }
    }

    /// The image called `name`: one small call.
    ///
    /// # Errors
    /// When containerd cannot be reached or does not know the image.
    pub async fn image(&self, name: String) -> Result<ImageRef, ImageError> {
        let channel = self.channel().await?;
        let request = self.request(GetImageRequest { name: name.clone() });
        let record = match call(ImagesClient::new(Channel::clone(&channel)).get(request)).await {
            Ok(record) => record,
            Err(call) => return Err(ImageError::Image { image: name, call }),
        };
        let Some(target) = record.image.and_then(|image| image.target) else {
            return Err(ImageError::Image { image: name, call: CallError::NotFound });
        };
        match (target.digest.parse(), u64::try_from(target.size)) {
            (Ok(digest), Ok(size)) => {
                Ok(ImageRef { name, target: Descriptor { media_type: target.media_type, digest, size } })
            }
            (Err(bad), _) => Err(ImageError::Defective { image: name, defect: Defect::Digest(bad) }),
            (Ok(digest), Err(_)) => {
                Err(ImageError::Defective { image: name, defect: Defect::WrongSize { digest, size: 0 } })
            }
        }
    }

    /// The Wasm layer of `image`, or `None` if it has none. Without any call if `memo` knows it.
    ///
    /// # Errors
    /// When the image has two of them, one over `max_size`, is malformed, or parts of it are missing.
    pub async fn wasm_of(
        &self,
        image: &ImageRef,
        memo: &Memo,
        max_size: u64,
    ) -> Result<Option<WasmLayer>, ImageError> {
        let layer = match memo.get(image.target.digest) {
            Some(layer) => layer,
            None => {
                let Manifest { layer, settled, .. } = self.walk(image, Walk::default()).await?;
                if settled {
                    memo.put(image.target.digest, layer);
                }
                layer
            }
        };
        image.within(layer, max_size)
    }

    /// The Wasm layer of `image` that has this title (`org.opencontainers.image.title`), or `None`.
    ///
    /// # Errors
    /// As [`Self::wasm_of`].
    pub async fn titled(
        &self,
        image: &ImageRef,
        title: &str,
        max_size: u64,
    ) -> Result<Option<WasmLayer>, ImageError> {
        let Manifest { layer, .. } = self.walk(image, Walk::titled(title)).await?;
        image.within(layer, max_size)
    }

    /// Streams a layer into `sink`, and checks its size and digest. What the sink holds after an error
    /// is worthless.
    ///
    /// # Errors
    /// When the content is missing or not what the digest says, or the sink fails.
    pub async fn read_layer(
        &self,
        image: &ImageRef,
        layer: &WasmLayer,
        sink: impl Write,
    ) -> Result<(), ImageError> {
        self.read(image, "wasm layer", layer.digest, layer.size, sink).await
    }

    /// The image that a user named, where containerd may have taken another for it: its CRI knows an image by its
    /// configuration alone, which need not name the Wasm layer, and takes the first name of many. So it is
    /// `name`'s image if that is there and has the configuration of `found`, else `found`.
    ///
    /// # Errors
    /// When containerd cannot be reached, or one of two images cannot be read.
    pub async fn meant(&self, found: ImageRef, name: &str) -> Result<ImageRef, ImageError> {
        let name = crate::name::full(name);
        if name == found.name {
            return Ok(found);
        }
        let _kept_open = self.channel().await?;
        let named = match self.image(name).await {
            Ok(named) => named,
            Err(ImageError::Image { call: CallError::NotFound, .. }) => return Ok(found),
            Err(error) => return Err(error),
        };
        if named.target.digest == found.target.digest {
            return Ok(found);
        }
        let read = |image| self.walk(image, Walk::default());
        let (one, other) = (read(&named).await?, read(&found).await?);
        let alike = one.config.is_some() && one.config == other.config;
        Ok(if alike { named } else { found })
    }

    /// What a walk finds at its end.
    async fn walk(&self, image: &ImageRef, mut walk: Walk) -> Result<Manifest, ImageError> {
        let _kept_open = self.channel().await?;
        let mut next = vec![image.target.clone()];
        let mut settled = true;
        loop {
            let (taken, descriptor, bytes) = self.first_present(image, next).await?;
            settled &= taken == 0;
            next = match walk.step(&descriptor, &bytes).map_err(|defect| image.defective(defect))? {
                Step::Read(candidates) => candidates,
                Step::Done { config, layer } => return Ok(Manifest { config, layer, settled }),
            };
        }
    }

    /// The first of `candidates` whose content is there, its place among them, and its bytes.
    async fn first_present(
        &self,
        image: &ImageRef,
        candidates: Vec<Descriptor>,
    ) -> Result<(usize, Descriptor, Vec<u8>), ImageError> {
        let mut missing = None;
        for (place, descriptor) in candidates.into_iter().enumerate() {
            let what = match readable(&descriptor) {
                Ok(what) => what,
                // A better choice that is missing is the reason to be here.
                Err(defect) => return Err(missing.unwrap_or_else(|| image.defective(defect))),
            };
            let mut bytes = Vec::new();
            match self.read(image, what, descriptor.digest, descriptor.size, &mut bytes).await {
                Ok(()) => return Ok((place, descriptor, bytes)),
                Err(error @ ImageError::Defective { defect: Defect::Missing { .. }, .. }) => {
                    // The best choice is the one to name.
                    missing.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        let nothing = || Defect::Missing { what: "image", digest: image.target.digest };
        Err(missing.unwrap_or_else(|| image.defective(nothing())))
    }

    async fn read(
        &self,
        image: &ImageRef,
        what: &'static str,
        digest: Digest,
        size: u64,
        sink: impl Write,
    ) -> Result<(), ImageError> {
        let channel = self.channel().await?;
        let mut client = ContentClient::new(Channel::clone(&channel));
        let mut blob = Blob::new(digest, size, sink);
        let refused = |call| match call {
            CallError::NotFound => image.defective(Defect::Missing { what, digest }),
            CallError::OutOfRange => image.defective(Defect::WrongSize { digest, size }),
            call => ImageError::Content { image: image.name.clone(), digest, call },
        };
        let not_taken = |error| match error {
            NotTaken::Defect(defect) => image.defective(defect),
            NotTaken::Sink(source) => ImageError::Sink { image: image.name.clone(), digest, source },
        };
        while let Some(Range { start, end }) = blob.wanted() {
            let (Ok(offset), Ok(length)) = (i64::try_from(start), i64::try_from(end - start)) else {
                return Err(image.defective(blob.wrong_size()));
            };
            let request = ReadContentRequest { digest: digest.to_string(), offset, size: length };
            let mut slice = call(client.read(self.request(request))).await.map_err(refused)?;
            while let Some(part) = timed(slice.message()).await.map_err(refused)? {
                blob.take(&part.data).map_err(not_taken)?;
            }
            // An answer of nothing would be asked for forever.
            if blob.wanted().is_some_and(|next| next.start != end) {
                return Err(image.defective(blob.wrong_size()));
            }
        }
        blob.finish().map_err(|defect| image.defective(defect))
    }

    /// The channel that is open, or a new one. It closes when the last who holds it is done.
    async fn channel(&self) -> Result<Arc<Channel>, ImageError> {
        let mut open = self.open.lock().await;
        if let Some(channel) = open.upgrade() {
            return Ok(channel);
        }
        let connected = match timeout(CALL, containerd_client::connect(&self.address)).await {
            Ok(connected) => connected.map_err(|error| chain(&error)),
            Err(_) => Err(CallError::TimedOut(CALL).to_string()),
        };
        let failed = |reason| ImageError::Connect { address: self.address.clone(), reason };
        let channel = Arc::new(connected.map_err(failed)?);
        *open = Arc::downgrade(&channel);
        Ok(channel)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("containerd-namespace", self.namespace.clone());
        request
    }
}

impl ImageRef {
    fn within(&self, layer: Option<WasmLayer>, max_size: u64) -> Result<Option<WasmLayer>, ImageError> {
        match layer {
            Some(WasmLayer { digest, size, .. }) if size > max_size => {
                Err(self.defective(Defect::LargeLayer { digest, size, limit: max_size }))
            }
            layer => Ok(layer),
        }
    }

    fn defective(&self, defect: Defect) -> ImageError {
        ImageError::Defective { image: self.name.clone(), defect }
    }
}

async fn call<T>(answer: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, CallError> {
    timed(answer).await.map(Response::into_inner)
}

async fn timed<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, CallError> {
    let answered = timeout(CALL, answer).await.map_err(|_| CallError::TimedOut(CALL))?;
    answered.map_err(|status| match status.code() {
        Code::NotFound => CallError::NotFound,
        Code::OutOfRange => CallError::OutOfRange,
        _ => CallError::Status { message: reason(&status) },
    })
}

/// containerd's words, or, if the call did not get as far, the causes.
fn reason(status: &Status) -> String {
    match status.source() {
        Some(source) => chain(source),
        None => format!("{}: {}", status.code(), status.message()),
    }
}

/// An error and its sources in one line; some repeat their source's words.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    async fn ask(address: &std::path::Path) -> (ImageError, Duration) {
        let containerd = Containerd::new(address, "default").expect("a client");
        let asked = tokio::time::Instant::now();
        (containerd.image_of("c").await.expect_err("nobody answers"), asked.elapsed())
    }

    #[tokio::test]
    async fn an_absent_containerd_is_named_with_the_reason_once() {
        let (error, _) = ask("/nonexistent/containerd.sock".as_ref()).await;
        let message = error.to_string();
        assert!(message.contains("\"/nonexistent/containerd.sock\""), "{message}");
        assert_eq!(message.matches("No such file").count(), 1, "{message}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_containerd_is_not_waited_for_longer_than_a_call_may_take() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let address = place.path().join("s");
        let _never_accepts = UnixListener::bind(&address).expect("a socket");
        let (error, waited) = ask(&address).await;
        assert!(error.to_string().contains("no answer within 5s"), "{error}");
        assert!((CALL..2 * CALL + CALL).contains(&waited), "{waited:?}");
    }

    #[tokio::test]
    async fn one_that_speaks_something_else_is_an_error() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let address = place.path().join("s");
        let listener = UnixListener::bind(&address).expect("a socket");
        let speaker = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().expect("a client");
            peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("an answer");
        });
        let (error, _) = ask(&address).await;
        speaker.join().expect("the speaker");
        assert!(error.to_string().len() < 500, "{error}");
    }

    #[test]
    fn a_namespace_that_no_request_can_carry_is_refused() {
        assert!(matches!(Containerd::new("/s", "a\nb"), Err(ImageError::Namespace(_))));
    }
}
