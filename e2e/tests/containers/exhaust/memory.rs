//! A container that may have less memory than its engine needs.

use super::{Group, tells};
use crate::guest;
use pinnace_conformance::guests;
use pinnace_e2e::Node;

/// From nothing to enough: Create says what is missing, or the guest runs.
#[test]
fn a_limit_that_is_too_small_for_the_engine_itself() {
    let node = Node::start();
    let group = Group::new(&node, &guest(&node, guests::sleep_p1()));
    let image = guest(&node, guests::exit_code(3));
    assert_eq!(group.draft(&image).run().code, 3);
    let before = group.footprint();
    let mut enough = false;
    for limit in [64 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 3 << 20, 4 << 20, 8 << 20, 16 << 20] {
        let draft = group.draft(&image).memory(limit);
        let id = draft.id().to_owned();
        match draft.create() {
            Ok(container) => enough = container.run_to_end().code == 3,
            Err(status) => {
                eprintln!("with {limit}: {}", status.message());
                assert!(!enough, "less was enough: {}", status.message());
                tells(&status, &["memory", &limit.to_string(), "raise"]);
            }
        }
        group.is_as(&before, &id);
    }
    assert!(enough);
}
