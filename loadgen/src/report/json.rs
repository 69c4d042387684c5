//! A report for programs.

use super::Report;
use anyhow::{Context, Result};

/// The report as JSON; the names are those of [`Report`]'s fields, units are in them.
///
/// # Errors
/// If a figure cannot be written.
pub fn render(report: &Report) -> Result<String> {
    let mut text = serde_json::to_string_pretty(report).context("the report is odd")?;
    text.push('\n');
    Ok(text)
}
