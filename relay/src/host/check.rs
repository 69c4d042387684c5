//! Whether this machine can run a relay, and if not, what its operator has to type.

use crate::capacity::LOCKED_BYTES_MIN;
use crate::io::trial;
use rustix::process::{Resource, getrlimit};
use std::{fs, io};
use thiserror::Error;

/// Where the kernel says whether io_uring is switched off.
const SWITCH: &str = "/proc/sys/kernel/io_uring_disabled";

/// What this machine lacks.
#[derive(Debug, Error)]
pub enum HostError {
    /// `kernel.io_uring_disabled` is 2.
    #[error(
        "io_uring is switched off on this machine (kernel.io_uring_disabled = 2): run \
         `sysctl -w kernel.io_uring_disabled=0`, and write it to /etc/sysctl.d/ to keep it"
    )]
    SwitchedOff,
    /// `kernel.io_uring_disabled` is 1 and this process is not of the group.
    #[error(
        "io_uring is reserved for a group on this machine (kernel.io_uring_disabled = 1): run \
         `sysctl -w kernel.io_uring_group=<the relay's group ID>`, or \
         `sysctl -w kernel.io_uring_disabled=0`"
    )]
    GroupOnly,
    /// A sandbox forbids the system calls.
    #[error(
        "io_uring is forbidden here, though the kernel has it switched on: a container's seccomp \
         profile blocks it. Docker, Podman: run with `--security-opt seccomp=PROFILE.json` that \
         allows io_uring_setup, io_uring_enter and io_uring_register (to try it: \
         `--security-opt seccomp=unconfined`). systemd: add these three to SystemCallFilter="
    )]
    Sandboxed,
    /// The kernel has no io_uring at all.
    #[error(
        "there is no io_uring here: Kakehashi's relay needs Linux 6.1 or newer, built with \
         CONFIG_IO_URING=y (`uname -r` shows what runs). A container's seccomp profile may hide \
         it (`--security-opt seccomp=unconfined` shows whether), and gVisor has none"
    )]
    Missing,
    /// The kernel's io_uring lacks what the relay needs.
    #[error(
        "this kernel's io_uring is too old: Kakehashi's relay needs Linux 6.1 or newer \
         (`uname -r` shows what runs)"
    )]
    TooOld,
    /// Memory for the ring was refused.
    #[error(
        "no memory for an io_uring: raise the memory limit of this service (`MemoryMax=`, \
         `docker run --memory`), or its locked memory (`ulimit -l`, `LimitMEMLOCK=`)"
    )]
    NoMemory,
    /// The limit on locked memory is below what the executors need.
    #[error(
        "this process may lock only {0} KiB of memory, and its executors need 512: run \
         `ulimit -l 8192` before it, or set `LimitMEMLOCK=8M` in its systemd unit, \
         `docker run --ulimit memlock=8388608`"
    )]
    LockedMemory(u64),
    /// Something else went wrong.
    #[error("this machine refuses an io_uring: {0}")]
    Other(io::Error),
}

/// Checks everything a relay needs of the machine.
///
/// # Errors
/// What is missing, and how to get it.
pub fn check() -> Result<(), HostError> {
    let limit = getrlimit(Resource::Memlock).current;
    locked_memory(limit)?;
    trial().map_err(|error| {
        let switch = fs::read_to_string(SWITCH).ok().and_then(|text| text.trim().parse().ok());
        explain(error, switch)
    })
}

/// `limit` is `None` without a limit.
fn locked_memory(limit: Option<u64>) -> Result<(), HostError> {
    match limit {
        Some(bytes) if bytes < LOCKED_BYTES_MIN => Err(HostError::LockedMemory(bytes >> 10)),
        _ => Ok(()),
    }
}

/// What a refused ring means, given the kernel's switch.
fn explain(error: io::Error, switch: Option<u8>) -> HostError {
    match (error.raw_os_error(), switch) {
        (Some(libc::EPERM | libc::EACCES), Some(2)) => HostError::SwitchedOff,
        (Some(libc::EPERM | libc::EACCES), Some(1)) => HostError::GroupOnly,
        (Some(libc::EPERM | libc::EACCES), _) => HostError::Sandboxed,
        (Some(libc::ENOSYS), _) => HostError::Missing,
        (Some(libc::EINVAL), _) => HostError::TooOld,
        (Some(libc::ENOMEM), _) => HostError::NoMemory,
        _ => HostError::Other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(errno: i32, switch: Option<u8>) -> String {
        explain(io::Error::from_raw_os_error(errno), switch).to_string()
    }

    #[test]
    fn each_refusal_names_its_remedy() {
        let cases = [
            (libc::EPERM, Some(2), "sysctl -w kernel.io_uring_disabled=0"),
            (libc::EPERM, Some(1), "kernel.io_uring_group"),
            (libc::EPERM, Some(0), "--security-opt seccomp="),
            (libc::EPERM, None, "--security-opt seccomp="),
            (libc::EACCES, None, "SystemCallFilter="),
            (libc::ENOSYS, None, "Linux 6.1 or newer"),
            (libc::EINVAL, Some(0), "too old"),
            (libc::ENOMEM, Some(0), "LimitMEMLOCK="),
            (libc::EMFILE, Some(0), "Too many open files"),
        ];
        for (errno, switch, remedy) in cases {
            let text = text(errno, switch);
            assert!(text.contains(remedy), "{errno} {switch:?}: {text}");
        }
    }

    #[test]
    fn too_little_locked_memory_is_told_before_an_executor_panics() {
        assert!(locked_memory(None).is_ok());
        assert!(locked_memory(Some(512 << 10)).is_ok());
        let text = locked_memory(Some(64 << 10)).unwrap_err().to_string();
        assert!(text.contains("64 KiB") && text.contains("ulimit -l"), "{text}");
    }

    #[test]
    fn this_machine_passes() {
        check().unwrap();
    }
}
