//! Prints the addresses of a name, as the guest's world tells them.

use std::net::ToSocketAddrs;
use std::process::ExitCode;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    match (name.as_str(), 80).to_socket_addrs() {
        Ok(addresses) => addresses.for_each(|address| println!("{}", address.ip())),
        Err(error) => {
            eprintln!("{name}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
