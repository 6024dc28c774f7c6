//! Landlock: the last word on files, whatever descriptor somebody still holds.

use crate::{SandboxError, Warning};
use landlock::{
    ABI, Access, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    Scope,
};

/// The newest Landlock known here. On an older kernel, what it lacks is left out.
const NEWEST: ABI = ABI::V9;

/// Allows everything below the container's `/` but executing, making devices and talking to their drivers;
/// nothing elsewhere; no signal and no abstract socket to anybody outside.
///
/// A descriptor that was opened before stays usable as it is, but leads to no other file outside `/`.
pub(crate) fn restrict_to_root(warnings: &mut Vec<Warning>) -> Result<(), SandboxError> {
    let allowed = AccessFs::from_all(NEWEST)
        & !(AccessFs::Execute
            | AccessFs::MakeChar
            | AccessFs::MakeBlock
            | AccessFs::IoctlDev
            | AccessFs::ResolveUnix);
    let root = PathFd::new("/").map_err(SandboxError::LandlockRoot)?;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(|rules| rules.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rule(PathBeneath::new(root, allowed)))
        .and_then(|rules| rules.restrict_self())
        .map_err(SandboxError::Landlock)?;
    if status.ruleset == RulesetStatus::NotEnforced {
        warnings.push(Warning::LandlockMissing);
    }
    Ok(())
}
