//! Many small commands in one program, as busybox is one: what critest asks of its containers, as far as a guest can.
//!
//! ```text
//!  sh [-c TEXT]        TEXT, or each line of stdin: commands joined by ; && || |, `while … do … done`, 2>&1, quotes
//!  cat echo grep hostname ls mkdir sleep top touch true [     what busybox does, with the flags that are used
//!  dd … bs=20M         needs that much memory
//!  httpd PORT          answers each request with a page
//! ```
//!
//! The name it is called by says which. A guest makes no processes, so the shell does itself what the file of that
//! name would do; it looks for it in `PATH` as a shell does, and a file that is no Wasm cannot be run.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::iter::Peekable;
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, thread, vec};

fn main() -> ExitCode {
    let mut words: Vec<String> = env::args().collect();
    if let Some(name) = words.first_mut() {
        *name = name.rsplit('/').next().unwrap_or_default().to_owned();
    }
    let code = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["sh", "-c", text] => shell(text),
        ["sh"] => io::stdin().lines().map_while(Result::ok).fold(0, |_, line| shell(&line)),
        words => run(words, &[], &mut io::stdout(), &mut io::stderr()),
    };
    ExitCode::from(code)
}

/// Does what a command does. Its stdin is what stands before it in a pipe.
fn run(words: &[&str], input: &[u8], out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let done = match words {
        ["true"] => Ok(true),
        ["echo", "-n", words @ ..] => write!(out, "{}", words.join(" ")).map(|()| true),
        ["echo", words @ ..] => writeln!(out, "{}", words.join(" ")).map(|()| true),
        ["[", "-f", file, "]"] => Ok(Path::new(file).is_file()),
        ["cat", files @ ..] => cat(files, out),
        ["ls"] => list(".", out),
        ["ls", "-A", directory] => list(directory, out),
        ["touch", file] => touch(file),
        ["mkdir", "-p", directory] => fs::create_dir_all(directory).map(|()| true),
        ["grep", "-q", text] => Ok(String::from_utf8_lossy(input).contains(text)),
        // The name of the host as a container's environment has it.
        ["hostname"] => writeln!(out, "{}", env::var("HOSTNAME").unwrap_or_default()).map(|()| true),
        ["sleep", seconds] => sleep(seconds),
        ["top"] => sleep("infinity"),
        ["dd", operands @ ..] => dd(operands),
        ["httpd", port] => serve(port, out),
        _ => Err(io::Error::other("no such command")),
    };
    let flushed = out.flush();
    match done.and_then(|holds| flushed.map(|()| holds)) {
        Ok(holds) => u8::from(!holds),
        Err(error) => {
            let what = words.last().copied().unwrap_or_default();
            let _nobody_reads = writeln!(err, "{}: {what}: {}", words.first().unwrap_or(&""), reason(&error));
            1
        }
    }
}

/// An error in the words that C libraries have for it.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "Read-only file system".to_owned(),
        io::ErrorKind::PermissionDenied => "Permission denied".to_owned(),
        io::ErrorKind::NotFound => "No such file or directory".to_owned(),
        _ => error.to_string(),
    }
}

fn cat(files: &[&str], out: &mut dyn Write) -> io::Result<bool> {
    for file in files {
        out.write_all(&fs::read(file)?)?;
    }
    Ok(true)
}

fn list(directory: &str, out: &mut dyn Write) -> io::Result<bool> {
    for entry in fs::read_dir(directory)? {
        writeln!(out, "{}", entry?.file_name().to_string_lossy())?;
    }
    Ok(true)
}

fn touch(file: &str) -> io::Result<bool> {
    OpenOptions::new().create(true).append(true).open(file).map(|_| true)
}

fn sleep(seconds: &str) -> io::Result<bool> {
    loop {
        match seconds.parse() {
            Ok(seconds) => {
                thread::sleep(Duration::from_secs(seconds));
                return Ok(true);
            }
            Err(_) => thread::sleep(Duration::from_secs(3600)),
        }
    }
}

/// Copies zeros to nowhere, by way of a buffer of as many MiB as `bs` says, for ever.
fn dd(operands: &[&str]) -> io::Result<bool> {
    let size = operands.iter().find_map(|operand| operand.strip_prefix("bs=")?.strip_suffix('M')?.parse().ok());
    let mut buffer = vec![0_u8; size.unwrap_or(1_usize) << 20];
    loop {
        buffer.fill(0);
        std::hint::black_box(&buffer);
    }
}

fn serve(port: &str, out: &mut dyn Write) -> io::Result<bool> {
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    writeln!(out, "httpd: listening")?;
    out.flush()?;
    for connection in listener.incoming() {
        // A client that goes away is its own concern.
        let _gone = connection.and_then(|mut connection| {
            let head = BufReader::new(&connection).lines().map_while(Result::ok);
            let _head = head.take_while(|line| !line.is_empty()).count();
            connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")
        });
    }
    Ok(true)
}

/// What the shell does.
enum Node {
    /// A command; with its errors where its output goes.
    Command { words: Vec<String>, merged: bool },
    Pipe(Box<Node>, Box<Node>),
    /// The second after `;`, or when the first ended so.
    Then { first: Box<Node>, when: Option<bool>, second: Box<Node> },
    While(Box<Node>, Box<Node>),
}

type Words = Peekable<vec::IntoIter<String>>;

fn shell(text: &str) -> u8 {
    let mut words = split(text).into_iter().peekable();
    match parse(&mut words) {
        Some(node) => node.run(&[], &mut io::stdout(), &mut io::stderr()),
        None => 0,
    }
}

/// Words and operators; a quoted word keeps its spaces.
fn split(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in text.chars() {
        let word = words.last_mut().expect("never empty");
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), close) if open == close => quote = None,
            (None, ' ') => words.push(String::new()),
            (None, ';') => words.extend([";".to_owned(), String::new()]),
            _ => word.push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn parse(words: &mut Words) -> Option<Node> {
    let mut first = pipe(words)?;
    loop {
        let when = match words.peek().map(String::as_str) {
            Some("&&") => Some(true),
            Some("||") => Some(false),
            Some(";") => None,
            _ => return Some(first),
        };
        words.next();
        let Some(second) = pipe(words) else { return Some(first) };
        first = Node::Then { first: Box::new(first), when, second: Box::new(second) };
    }
}

fn pipe(words: &mut Words) -> Option<Node> {
    let first = command(words)?;
    if words.next_if(|word| word == "|").is_none() {
        return Some(first);
    }
    Some(Node::Pipe(Box::new(first), Box::new(pipe(words)?)))
}

fn command(words: &mut Words) -> Option<Node> {
    if words.next_if(|word| word == "while").is_some() {
        let condition = parse(words)?;
        words.next_if(|word| word == "do")?;
        let body = parse(words)?;
        words.next_if(|word| word == "done")?;
        return Some(Node::While(Box::new(condition), Box::new(body)));
    }
    let ends = ["&&", "||", "|", ";", "do", "done"];
    let mut command = Vec::new();
    let mut merged = false;
    while let Some(word) = words.next_if(|word| !ends.contains(&word.as_str())) {
        if word == "2>&1" { merged = true } else { command.push(word) }
    }
    (!command.is_empty()).then_some(Node::Command { words: command, merged })
}

impl Node {
    fn run(&self, input: &[u8], out: &mut dyn Write, err: &mut dyn Write) -> u8 {
        match self {
            Self::Command { words, merged } => {
                let words: Vec<_> = words.iter().map(String::as_str).collect();
                if let Err((reason, code)) = found(words[0]) {
                    let shell = env::args().next().unwrap_or_default();
                    let _nobody_reads = writeln!(err, "{shell}: {}: {reason}", words[0]);
                    return code;
                }
                let mut errors = Vec::new();
                let code = run(&words, input, out, if *merged { &mut errors } else { err });
                let _nobody_reads = out.write_all(&errors);
                code
            }
            Self::Pipe(first, second) => {
                let mut between = Vec::new();
                first.run(input, &mut between, err);
                second.run(&between, out, err)
            }
            Self::Then { first, when, second } => {
                let code = first.run(input, out, err);
                let skipped = when.is_some_and(|wanted| wanted != (code == 0));
                if skipped { code } else { second.run(input, out, err) }
            }
            Self::While(condition, body) => {
                let mut code = 0;
                while condition.run(input, out, err) == 0 {
                    code = body.run(input, out, err);
                }
                code
            }
        }
    }
}

/// Whether there is a Wasm file for a command in `PATH`.
fn found(name: &str) -> Result<(), (&'static str, u8)> {
    let path = env::var("PATH").unwrap_or_default();
    let mut files = path.split(':').map(|directory| Path::new(directory).join(name));
    let file = files.find(|file| file.exists()).ok_or(("not found", 127))?;
    let mut magic = [0; 4];
    let read = fs::File::open(file).and_then(|mut file| file.read_exact(&mut magic));
    if read.is_ok() && magic == *b"\0asm" { Ok(()) } else { Err(("Permission denied", 126)) }
}
