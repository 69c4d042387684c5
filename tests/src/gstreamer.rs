//! GStreamer as a partner: pipelines as processes of their own.

use crate::children::Program;
use std::process::{Command, Stdio};

/// Elements the tests' pipelines are made of, beside those every GStreamer has.
const ELEMENTS: [&str; 6] = ["srtpenc", "srtpdec", "vp8enc", "opusenc", "opusdec", "timeoverlay"];

/// Fails, with what to type, if GStreamer lacks an element.
///
/// # Panics
/// In that case.
pub fn require() {
    for element in ELEMENTS {
        let found = Command::new("gst-inspect-1.0").arg(element).stdout(Stdio::null()).status();
        assert!(
            found.is_ok_and(|status| status.success()),
            "GStreamer's {element} is missing: apt-get install gstreamer1.0-tools \
             gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
             gstreamer1.0-x fonts-dejavu-core"
        );
    }
}

/// Starts a pipeline that ends in order when it is interrupted.
///
/// # Panics
/// If `gst-launch-1.0` cannot be started.
pub fn pipeline(description: &str) -> Program {
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "-e"]).args(description.split_whitespace()).stdin(Stdio::null());
    Program::start(&mut command)
}

/// Ends a pipeline so that it writes out what it has.
///
/// # Panics
/// If it cannot be told to.
pub fn interrupt(mut pipeline: Program) {
    let pid = pipeline.id().to_string();
    let told = Command::new("kill").args(["-INT", &pid]).status();
    assert!(told.is_ok_and(|status| status.success()), "the pipeline runs");
    let _ = pipeline.wait();
}
