//! System calls by the names that profiles use.

use super::decision::Number;
use std::collections::HashMap;
use syscalls::Sysno;

/// The calls of this architecture. Made once, where many names are looked up.
pub(super) struct Names(HashMap<&'static str, Number>);

impl Names {
    pub(super) fn new() -> Self {
        #[cfg_attr(not(target_arch = "aarch64"), expect(unused_mut, reason = "one architecture adds a name"))]
        let mut names: HashMap<_, _> = Sysno::iter().map(|call| (call.name(), number(call))).collect();
        // Under the name it has on other architectures, and in every profile.
        #[cfg(target_arch = "aarch64")]
        names.insert("newfstatat", number(Sysno::fstatat));
        Self(names)
    }

    /// The number of the call `name`, if this architecture has it.
    pub(super) fn number(&self, name: &str) -> Option<Number> {
        self.0.get(name).copied()
    }
}

pub(super) const fn number(call: Sysno) -> Number {
    call as Number
}
