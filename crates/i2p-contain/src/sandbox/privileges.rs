//! Gives up privileges: capabilities, new privileges, core dumps; and what Landlock adds.

use std::io;

use landlock::{Ruleset, RulesetAttr, Scope};
use rustix::{
    io::Errno,
    process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit},
    thread::{
        CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
    },
};

use super::{
    plan::Plan,
    refusal::{OrRefuse, Refusal},
    wall::Wall,
};

/// Gives up everything that `plan` says, for this process and those that it starts.
pub(super) fn give_up(plan: &Plan) -> Result<(), Refusal> {
    if plan.has(Wall::CoreDumps) {
        forbid_core_dumps().or_refuse(Wall::CoreDumps, "limiting core dumps")?;
    }
    if plan.has(Wall::Privileges) {
        drop_capabilities().or_refuse(Wall::Privileges, "dropping capabilities")?;
    }
    // Filters of system calls need it, even if a test leaves out the wall.
    set_no_new_privs(true).or_refuse(Wall::Privileges, "forbidding new privileges")?;
    if plan.has(Wall::Privileges) {
        // The program, which runs as the same user, must not take over this process. Programs that this one executes are
        // not affected.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .or_refuse(Wall::Privileges, "protecting the first process")?;
    }
    if plan.has(Wall::Processes) && plan.has(Wall::Network) {
        limit_scope();
    }
    Ok(())
}

/// Drops all capabilities, and those that programs could get.
pub(super) fn drop_capabilities() -> io::Result<()> {
    clear_ambient_capability_set()?;
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(true) => remove_capability_from_bounding_set(capability)?,
            Ok(false) => {}
            // This kernel has no more.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}

/// With a limit of 0, a handler outside would still be started. With 1, it is not (core(5)).
fn forbid_core_dumps() -> io::Result<()> {
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(1), maximum: Some(1) })?)
}

/// Forbids signals and abstract Unix sockets to the outside a second time, where the kernel can (Linux 6.12):
/// namespaces forbid them already, so this is no wall of its own. Landlock's rules for files are left out, since they
/// forbid mounts, which programs with a sandbox of their own need.
fn limit_scope() {
    let limited = Ruleset::default()
        .scope(Scope::AbstractUnixSocket | Scope::Signal)
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self);
    // Best effort: the crate asks for what the kernel has.
    drop(limited);
}
