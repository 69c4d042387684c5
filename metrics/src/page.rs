//! Figures that are read where they are counted, when somebody asks for them.

use crate::{Json, Shown};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;

/// Whoever knows figures.
pub trait Figures: fmt::Debug + Send + Sync + 'static {
    /// Writes all of them, each family once.
    ///
    /// # Errors
    /// Whatever the page answers.
    fn write(&self, page: &mut Page<'_>) -> fmt::Result;
}

/// No label at all: of a family with one value.
pub const ALONE: [(&str, &str); 0] = [];

/// Where figures are written to.
pub struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    /// What only grows: the family `name`, to which `_total` is added, with a value for each set of
    /// labels.
    ///
    /// # Errors
    /// There is no room for the text.
    pub fn counters<L: EncodeLabelSet>(
        &mut self,
        (name, help): (&str, &str),
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    /// What only grows and is no whole number, such as seconds.
    ///
    /// # Errors
    /// There is no room for the text.
    pub fn sums<L: EncodeLabelSet>(
        &mut self,
        (name, help): (&str, &str),
        values: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    /// What stands now: the family `name`, with a value for each set of labels.
    ///
    /// # Errors
    /// There is no room for the text.
    pub fn gauges<L: EncodeLabelSet>(
        &mut self,
        (name, help): (&str, &str),
        values: impl IntoIterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// What this program is: the family `name`, to which `_info` is added.
    ///
    /// # Errors
    /// There is no room for the text.
    pub fn info<L: EncodeLabelSet>(
        &mut self,
        (name, help): (&str, &str),
        labels: &L,
    ) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(labels)
    }
}

/// What the registry asks.
#[derive(Debug)]
struct Asked<F>(F);

impl<F: Figures> Collector for Asked<F> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.write(&mut Page(encoder))
    }
}

impl Shown {
    /// What `registry` has, and beside it what `figures` says.
    pub fn with(mut registry: Registry, figures: impl Figures) -> Self {
        registry.register_collector(Box::new(Asked(figures)));
        registry.into()
    }

    /// The same, and a JSON text at `path`, which begins with a slash.
    pub fn beside(self, path: &'static str, json: impl Json) -> Self {
        Self { json: Some((path, Box::new(json))), ..self }
    }
}

impl From<Registry> for Shown {
    fn from(registry: Registry) -> Self {
        Self { registry, json: None }
    }
}

impl<F: Figures> From<F> for Shown {
    fn from(figures: F) -> Self {
        Self::with(Registry::default(), figures)
    }
}
