//! The few messages of D-Bus that are spoken with systemd, as bytes: calls out, answers and signals in.
//!
//! ```text
//!  'l' kind flags 1 │ body's length │ serial │ fields a(yv), padded to 8 │ body
//! ```
//!
//! By hand, because no crate fits: on its own socket systemd names itself by a well-known name as the sender,
//! which zbus 5 takes for a broken message and panics on; and a few calls with text, numbers and one list do
//! not need a type system of the bus.

/// A property's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    U64(u64),
    Text(String),
    Pids(Vec<u32>),
    Bytes(Vec<u8>),
}

/// What systemd sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// An answer to the call of this serial; its first text, if it has any.
    Answer { to: u32, text: String },
    /// The same call refused, by this name and for this reason.
    Refusal { to: u32, name: String, reason: String },
    /// A job has ended.
    JobRemoved { job: String, result: String },
    /// Anything else.
    Other,
}

const CALL: u8 = 1;
const ANSWER: u8 = 2;
const REFUSAL: u8 = 3;
const SIGNAL: u8 = 4;

const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const SIGNATURE: u8 = 8;

/// The length of what says how long the rest is.
pub(super) const PROLOGUE: usize = 16;
/// No message of systemd is longer; the bus allows 128 MiB.
const LONGEST: usize = 1 << 20;

/// Bytes with their places kept in line.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, number: usize) {
        self.align(4);
        self.0.extend((number as u32).to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.extend(text.bytes());
        self.0.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.0.push(signature.len() as u8);
        self.0.extend(signature.bytes());
        self.0.push(0);
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.number(usize::from(flag));
    }

    pub(super) fn pids(&mut self, pids: &[u32]) {
        self.list(4, |list| pids.iter().for_each(|pid| list.number(*pid as usize)));
    }

    /// A list; its length counts from the first place that an element of it may have.
    pub(super) fn list(&mut self, alignment: usize, fill: impl FnOnce(&mut Self)) {
        self.number(0);
        let place = self.0.len() - 4;
        self.align(alignment);
        let first = self.0.len();
        fill(self);
        let length = (self.0.len() - first) as u32;
        self.0[place..place + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// `a(sv)`.
    pub(super) fn properties(&mut self, properties: &[(&str, Value)]) {
        self.list(8, |list| properties.iter().for_each(|(name, value)| list.property(name, value)));
    }

    fn property(&mut self, name: &str, value: &Value) {
        self.align(8);
        self.text(name);
        match value {
            Value::Bool(flag) => {
                self.signature("b");
                self.flag(*flag);
            }
            Value::U64(number) => {
                self.signature("t");
                self.align(8);
                self.0.extend(number.to_le_bytes());
            }
            Value::Text(text) => {
                self.signature("s");
                self.text(text);
            }
            Value::Pids(pids) => {
                self.signature("au");
                self.pids(pids);
            }
            Value::Bytes(bytes) => {
                self.signature("ay");
                self.list(1, |list| list.0.extend(bytes));
            }
        }
    }
}

/// A call whose body has been written by itself.
pub(super) fn call(serial: u32, to: [&str; 4], signature: &str, body: Writer) -> Vec<u8> {
    let [destination, path, interface, member] = to;
    let mut message = Writer(vec![b'l', CALL, 0, 1]);
    message.number(body.0.len());
    message.number(serial as usize);
    message.list(8, |fields| {
        for (code, kind, text) in
            [(1, "o", path), (2, "s", interface), (MEMBER, "s", member), (6, "s", destination)]
        {
            fields.align(8);
            fields.0.push(code);
            fields.signature(kind);
            fields.text(text);
        }
        fields.align(8);
        fields.0.push(SIGNATURE);
        fields.signature("g");
        fields.signature(signature);
    });
    message.align(8);
    message.0.extend(body.0);
    message.0
}

/// How many bytes follow these first ones; `None` for what is no message of this byte order or length.
pub(super) fn rest(prologue: &[u8; PROLOGUE]) -> Option<usize> {
    let mut at = Reader { bytes: prologue, at: 4 };
    let (body, _serial, fields) = (at.number()?, at.number()?, at.number()?);
    let length = (fields as usize).next_multiple_of(8).checked_add(body as usize)?;
    (prologue[0] == b'l' && prologue[3] == 1 && length <= LONGEST).then_some(length)
}

/// Reads a whole message; `None` if it is malformed.
pub(super) fn message(bytes: &[u8]) -> Option<Message> {
    let fields_length = Reader { bytes, at: 12 }.number()? as usize;
    let fields_end = PROLOGUE.checked_add(fields_length)?;
    let mut fields = Reader { bytes: bytes.get(..fields_end)?, at: PROLOGUE };
    let (mut member, mut name, mut signature, mut to) = ("", "", "", 0);
    while fields.at < fields_end {
        fields.align(8);
        let code = fields.byte()?;
        match (fields.signature()?, code) {
            ("u", REPLY_SERIAL) => to = fields.number()?,
            ("u", _) => drop(fields.number()?),
            ("g", SIGNATURE) => signature = fields.signature()?,
            ("g", _) => drop(fields.signature()?),
            ("s", MEMBER) => member = fields.text()?,
            ("s", ERROR_NAME) => name = fields.text()?,
            ("s" | "o", _) => drop(fields.text()?),
            _ => return None,
        }
    }
    let mut body = Reader { bytes: bytes.get(fields_end.next_multiple_of(8)..)?, at: 0 };
    let first = |body: &mut Reader<'_>| match signature.as_bytes().first() {
        Some(b's' | b'o') => body.text().map(str::to_owned),
        _ => Some(String::new()),
    };
    Some(match *bytes.get(1)? {
        ANSWER => Message::Answer { to, text: first(&mut body)? },
        REFUSAL => Message::Refusal { to, name: name.to_owned(), reason: first(&mut body)? },
        SIGNAL if member == "JobRemoved" && signature == "uoss" => {
            let (_id, job, _unit, result) = (body.number()?, body.text()?, body.text()?, body.text()?);
            Message::JobRemoved { job: job.to_owned(), result: result.to_owned() }
        }
        _ => Message::Other,
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4);
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.number()? as usize;
        let text = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(text).ok()
    }

    fn signature(&mut self) -> Option<&'a str> {
        let length = usize::from(self.byte()?);
        let text = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A message as systemd sends it, its own name as the sender.
    fn sent(kind: u8, fields: &[(u8, &str, &str)], to: u32, body: Writer) -> Vec<u8> {
        let mut message = Writer(vec![b'l', kind, 1, 1]);
        message.number(body.0.len());
        message.number(9);
        message.list(8, |list| {
            list.0.push(REPLY_SERIAL);
            list.signature("u");
            list.number(to as usize);
            for (code, kind, text) in [&[(7, "s", "org.freedesktop.systemd1")], fields].concat() {
                list.align(8);
                list.0.push(code);
                list.signature(kind);
                if kind == "g" { list.signature(text) } else { list.text(text) }
            }
        });
        message.align(8);
        message.0.extend(body.0);
        message.0
    }

    fn body(texts: &[&str]) -> Writer {
        let mut body = Writer::default();
        texts.iter().for_each(|text| body.text(text));
        body
    }

    #[test]
    fn answers_refusals_and_ends_of_jobs_are_understood() {
        let read = |bytes: Vec<u8>| {
            let prologue = bytes[..PROLOGUE].try_into().unwrap();
            assert_eq!(rest(prologue), Some(bytes.len() - PROLOGUE));
            message(&bytes).unwrap()
        };
        let job = "/org/freedesktop/systemd1/job/7";
        let answer = sent(ANSWER, &[(SIGNATURE, "g", "o")], 3, body(&[job]));
        assert_eq!(read(answer), Message::Answer { to: 3, text: job.to_owned() });
        assert_eq!(
            read(sent(ANSWER, &[], 4, Writer::default())),
            Message::Answer { to: 4, text: String::new() }
        );
        let name = "org.freedesktop.systemd1.UnitExists";
        let refusal = sent(REFUSAL, &[(ERROR_NAME, "s", name), (SIGNATURE, "g", "s")], 3, body(&["why"]));
        let expected = Message::Refusal { to: 3, name: name.to_owned(), reason: "why".to_owned() };
        assert_eq!(read(refusal), expected);
        let mut ended = Writer::default();
        ended.number(7);
        [job, "a.scope", "done"].iter().for_each(|text| ended.text(text));
        let fields = [(MEMBER, "s", "JobRemoved"), (SIGNATURE, "g", "uoss")];
        let expected = Message::JobRemoved { job: job.to_owned(), result: "done".to_owned() };
        assert_eq!(read(sent(SIGNAL, &fields, 0, ended)), expected);
        assert_eq!(read(sent(SIGNAL, &[(MEMBER, "s", "UnitNew")], 0, Writer::default())), Message::Other);
    }

    #[test]
    fn a_call_is_laid_out_as_the_bus_wants_it() {
        let mut body = Writer::default();
        body.list(8, |list| list.property("PIDs", &Value::Pids(vec![7])));
        let bytes = call(1, ["d", "/p", "i", "m"], "a(sv)", body);
        assert_eq!(bytes[..4], [b'l', 1, 0, 1]);
        let properties = [
            24, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, b'P', b'I', b'D', b's', 0, 2, b'a', b'u', 0, 0, 0, 0, 4, 0,
            0, 0, 7, 0, 0, 0,
        ];
        assert_eq!(bytes[bytes.len() - properties.len()..], properties);
        assert_eq!((bytes.len() - properties.len()) % 8, 0);
        assert_eq!(message(&bytes), Some(Message::Other));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert_eq!(rest(b"HTTP/1.1 400 Bad"), None);
        assert_eq!(rest(&[b'l', 2, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), flip in 0_usize..120) {
            let _ = message(&bytes);
            let fields = [(ERROR_NAME, "s", "a.b"), (SIGNATURE, "g", "s")];
            let mut sound = sent(REFUSAL, &fields, 3, body(&["why"]));
            let at = flip % sound.len();
            sound[at] ^= bytes.first().copied().unwrap_or(1);
            let _ = message(&sound);
            let _ = message(&sound[..at]);
        }
    }
}
