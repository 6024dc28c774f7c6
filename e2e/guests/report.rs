//! A guest as an application developer writes it: arguments, environment, a mounted file, an exit code.
//!
//! Arguments: the path of a file to read. Prints what it was given, then how many words the file has.

use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let Some(path) = args.next() else {
        eprintln!("usage: report FILE [WORD...]");
        return ExitCode::from(2);
    };
    let greeting = env::var("GREETING").unwrap_or_else(|_| "no greeting".to_owned());
    println!("greeting: {greeting}");
    println!("words: {}", args.collect::<Vec<_>>().join(" "));
    match fs::read_to_string(&path) {
        Ok(text) => println!("{path}: {} words, first line {:?}", text.split_whitespace().count(), first(&text)),
        Err(error) => {
            eprintln!("{path}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn first(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
