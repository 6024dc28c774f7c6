//! The program: dispatch of the subcommands that containerd calls.

fn main() {}
