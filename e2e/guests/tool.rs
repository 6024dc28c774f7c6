//! What a pod's tests ask a container to do, word by word: files, names, the network, time.
//!
//! ```text
//!  cat FILE…            its text                      env NAME…            NAME=value
//!  ls DIRECTORY…        its names, sorted             write FILE TEXT      the file has the text
//!  serve PORT           answers each line with it, in capitals; says when it listens
//!  ask HOST:PORT TEXT   what such a server answers, once it listens
//!  sleep                for ever
//! ```
//!
//! Several are separated by `then`; the first that fails ends the program with 1.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, thread};

fn main() -> ExitCode {
    let words: Vec<_> = env::args().skip(1).collect();
    for command in words.split(|word| word == "then") {
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        if let Err(error) = run(&command) {
            eprintln!("{}: {error}", command.join(" "));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn run(command: &[&str]) -> io::Result<()> {
    match command {
        ["cat", files @ ..] => files.iter().try_for_each(|file| {
            print!("{}", fs::read_to_string(file)?);
            io::stdout().flush()
        }),
        ["ls", directories @ ..] => directories.iter().try_for_each(|directory| {
            let entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
            let mut names: Vec<_> = entries.iter().map(|entry| entry.file_name()).collect();
            names.sort();
            names.iter().for_each(|name| println!("{}", name.to_string_lossy()));
            Ok(())
        }),
        ["env", names @ ..] => {
            names.iter().for_each(|name| println!("{name}={}", env::var(name).unwrap_or_default()));
            Ok(())
        }
        ["write", file, text] => fs::write(file, text),
        ["serve", port] => serve(port),
        ["ask", address, text] => ask(address, text),
        ["sleep"] => loop {
            thread::sleep(Duration::from_secs(3600));
        },
        _ => Err(io::Error::other("not a command of this tool")),
    }
}

fn serve(port: &str) -> io::Result<()> {
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    println!("listening");
    for connection in listener.incoming() {
        let mut connection = connection?;
        let mut line = String::new();
        BufReader::new(&connection).read_line(&mut line)?;
        connection.write_all(line.to_uppercase().as_bytes())?;
    }
    Ok(())
}

fn ask(address: &str, text: &str) -> io::Result<()> {
    // The server may be a container that is only being started.
    let mut tries = 500;
    let mut connection = loop {
        match TcpStream::connect(address) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && tries > 0 => tries -= 1,
            tried => break tried?,
        }
        thread::sleep(Duration::from_millis(10));
    };
    writeln!(connection, "{text}")?;
    let mut line = String::new();
    BufReader::new(&connection).read_line(&mut line)?;
    print!("{line}");
    Ok(())
}
