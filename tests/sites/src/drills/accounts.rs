//! Tenants and accounts of the drills, made when they are first asked for.

use crate::bed::Bed;
use crate::configs::NODES_NAME;
use anyhow::{Context, Result, bail};
use kakehashi_control::admin::{Answer, Request};
use kakehashi_control::policy::{Protection, TenantLimits};
use kakehashi_terminal::{DeviceSecret, Settings, Timing};
use kakehashi_wire::id::DeviceId;
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::Role;
use std::collections::BTreeMap;

/// What is known of those that were made.
#[derive(Default)]
pub(super) struct Accounts {
    tenants: Vec<String>,
    known: BTreeMap<(String, String), Settings>,
}

/// The tenant whose calls are protected so.
pub(super) const fn tenant_of(hitless: bool) -> &'static str {
    if hitless { "hitless" } else { "standard" }
}

impl Accounts {
    /// What a terminal of an account needs.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn settings(&mut self, bed: &Bed, hitless: bool, login: &str) -> Result<Settings> {
        let tenant = tenant_of(hitless);
        let key = (tenant.to_owned(), login.to_owned());
        if let Some(settings) = self.known.get(&key) {
            return Ok(settings.clone());
        }
        self.make_tenant(bed, tenant, hitless)?;
        let added = bed.operator(1)?.ask(Request::AccountAdd {
            tenant: tenant.to_owned(),
            login: login.to_owned(),
            display: None,
            password: None,
            permanent: true,
            role: Role::Store,
        })?;
        let Answer::AccountAdded { password: Some(password), .. } = added else {
            bail!("the account {login} was added without a password");
        };
        let device = u64::try_from(self.known.len() + 1).context("there are few accounts")?;
        let settings = terminal(bed, &key, DeviceId(device), password)?;
        self.known.insert(key, settings.clone());
        Ok(settings)
    }

    fn make_tenant(&mut self, bed: &Bed, name: &str, hitless: bool) -> Result<()> {
        if self.tenants.iter().any(|tenant| tenant == name) {
            return Ok(());
        }
        let operator = bed.operator(1)?;
        operator.ask(Request::TenantAdd { name: name.to_owned(), accounts: None })?;
        if hitless {
            let protection = Protection::Hitless;
            let limits = Some(TenantLimits { protection, ..TenantLimits::default() });
            let tenant = name.to_owned();
            operator.ask(Request::TenantPolicy { tenant, limits, rules: None })?;
        }
        self.tenants.push(name.to_owned());
        Ok(())
    }
}

fn terminal(
    bed: &Bed,
    (tenant, login): &(String, String),
    device: DeviceId,
    password: Password,
) -> Result<Settings> {
    let ca = bed.ca();
    Ok(Settings {
        control: bed.control(),
        server_name: Some(NODES_NAME.to_owned()),
        ca_pem: std::fs::read(&ca).with_context(|| format!("cannot read {}", ca.display()))?,
        tenant: tenant.clone(),
        login: login.clone(),
        password,
        device,
        device_secret: DeviceSecret::from_seed(rand::random()),
        software: concat!("kakehashi-sites ", env!("CARGO_PKG_VERSION")).to_owned(),
        source: None,
        timing: Timing::default(),
    })
}
