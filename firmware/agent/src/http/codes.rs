//! Which code each reason has by which people are told in their language why something was not done ([`crate::text::Told`]). What has none
//! is said in English, as it is.

use super::pages::home::size;
use crate::apps::{NotPublished, NotSaved, Refused as App};
use crate::blobs::Refused as Blob;
use crate::limits::PASSWORD_MIN_CHARS;
use crate::text::{Code, Told};
use crate::users::{PasswordRefused, Refused as User, RuleRefused};
use contract::apps::compose::Refused as Choice;

/// Of people.
pub fn of_user(error: &User) -> Option<Told> {
    Some(match error {
        User::Wrong => Code::WrongLogin.into(),
        User::Wait(seconds) => Told::new(Code::TooManyTries, &[seconds]),
        User::Code => Code::WrongClaim.into(),
        User::NotKept(_) => Code::NotKept.into(),
        User::Password(PasswordRefused::Busy) => Code::PasswordsBusy.into(),
        User::Password(PasswordRefused::Length) => Told::new(Code::PasswordLength, &[&PASSWORD_MIN_CHARS]),
        User::Password(PasswordRefused::Hash(_)) => return None,
        User::Rule(rule) => match rule {
            RuleRefused::Name => Code::UserName,
            RuleRefused::Exists => Code::UserExists,
            RuleRefused::Unknown => Code::UserUnknown,
            RuleRefused::LastOwner => Code::LastOwner,
            RuleRefused::Claimed => Code::NodeClaimed,
            RuleRefused::ManyUsers => Code::ManyUsers,
            RuleRefused::ManyTokens => Code::ManyTokens,
            RuleRefused::Changed => Code::UserChanged,
            RuleRefused::NoToken => Code::TokenUnknown,
            RuleRefused::ManyMuted | RuleRefused::NotMuted => return None,
        }
        .into(),
    })
}

/// Of apps.
pub fn of_app(error: &App) -> Option<Told> {
    use crate::apps::PortRefused as Port;
    Some(match error {
        App::Unknown(app) => Told::new(Code::AppUnknown, &[app]),
        App::NotInstalled(app) => Told::new(Code::AppNotInstalled, &[app]),
        App::Installed(app) => Told::new(Code::AppInstalled, &[app]),
        App::Busy { app, .. } => Told::new(Code::AppBusy, &[app]),
        App::Changed(app) => Told::new(Code::AppChanged, &[app]),
        App::Barred { app, why } => Told::new(Code::AppBarred, &[app, why]),
        App::Port(Port::Taken { port, by, .. }) => Told::new(Code::PortTaken, &[port, by]),
        App::Port(Port::None { name, .. }) => Told::new(Code::NoPort, &[name]),
        App::Choice(Choice::Missing(name)) => Told::new(Code::SettingMissing, &[name]),
        App::Choice(Choice::Value { name, why }) => Told::new(Code::SettingValue, &[name, why]),
        App::Choice(Choice::Unknown { name, .. }) => Told::new(Code::SettingUnknown, &[name]),
        App::NotGranted(why) => Told::new(Code::NotGranted, &[why]),
        App::Docker(why) => Told::new(Code::DockerAway, &[why]),
        App::NoBackupKey => Code::NoBackupKey.into(),
        App::NoSecretKey => Code::NoSecretKey.into(),
        App::InTheWay(app) => Told::new(Code::BackupInTheWay, &[app]),
        App::DiskNotReady => Code::DiskNotReady.into(),
        App::NotKept(_) => Code::NotKept.into(),
        _ => return None,
    })
}

/// Of what is published of them.
pub fn of_publication(error: &NotPublished) -> Option<Told> {
    match error {
        NotPublished::Refused(error) => of_app(error),
        NotPublished::Taken(name) => Some(Told::new(Code::NameTaken, &[name])),
        _ => None,
    }
}

/// Of apps of people's own.
pub fn of_own(error: &NotSaved) -> Option<Told> {
    Some(match error {
        NotSaved::Name(name) => Told::new(Code::AppName, &[name]),
        NotSaved::Taken(name) | NotSaved::There(name) => Told::new(Code::NameTaken, &[name]),
        NotSaved::Unknown(name) => Told::new(Code::AppUnknown, &[name]),
        NotSaved::Full => Code::OwnFull.into(),
        NotSaved::NotKept(_) => Code::NotKept.into(),
        _ => return None,
    })
}

/// Of what the catalog does not take.
pub fn of_catalog(error: &crate::apps::catalog::Refused) -> Option<Told> {
    use crate::apps::catalog::Refused as No;
    Some(match error {
        No::Architecture { app, .. } => Told::new(Code::OtherMachine, &[app]),
        No::Room { needed, free, .. } => Told::new(Code::DiskFull, &[&size(*needed), &size(*free)]),
        _ => return None,
    })
}

/// Of files.
pub fn of_blob(error: &Blob) -> Option<Told> {
    Some(match error {
        Blob::NotHere(_) => Code::FileNotHere.into(),
        Blob::NotWhole(_) => Code::FileNotWhole.into(),
        Blob::Unknown(_) => Code::FileUnknown.into(),
        Blob::NoRoom(room) => Told::new(Code::QuotaFull, &[&size(room.needed), &size(room.left)]),
        Blob::DiskFull { needed, free, .. } => Told::new(Code::DiskFull, &[&size(*needed), &size(*free)]),
        Blob::NotKept => Code::NotKept.into(),
        _ => return None,
    })
}

/// Of services of other nodes.
pub fn of_tunnel(error: &crate::tunnels::Refused) -> Option<Told> {
    use crate::tunnels::Refused as No;
    Some(match error {
        No::NoNode(_) => Code::NodeUnknown.into(),
        No::NoService { node, .. } => Told::new(Code::ServiceUnknown, &[node]),
        No::NotReached { node, seen } => Told::new(Code::NodeNotReached, &[node, seen]),
        No::Stopped { node } => Told::new(Code::ServiceStopped, &[node]),
        No::TooMany => Code::ManyTunnels.into(),
        No::NoCommunity => Code::NoCommunity.into(),
        _ => return None,
    })
}

/// Of leases.
pub fn of_lease(error: &crate::leases::Refused) -> Option<Told> {
    use crate::leases::Refused as No;
    Some(match error {
        No::NoCommunity => Code::NoCommunity.into(),
        No::Unknown(_) => Code::LeaseUnknown.into(),
        No::NotKept(_) => Code::NotKept.into(),
        _ => return None,
    })
}

/// Of the node's settings.
pub fn of_setting(error: &crate::settings::NotSet) -> Option<Told> {
    use crate::settings::NotSet as No;
    Some(match error {
        No::Zone(zone) => Told::new(Code::TimeZone, &[zone]),
        No::NoTrial => Code::NoTrial.into(),
        No::NotKept(_) => Code::NotKept.into(),
        _ => return None,
    })
}

/// Of the household, as far as it is of the microcloud.
pub fn of_household(error: &crate::household::Failed) -> Option<Told> {
    use crate::household::Failed as No;
    Some(match error {
        No::NoNetwork => Code::NoNetwork.into(),
        No::NoCommunity => Code::NoCommunity.into(),
        No::Refused(unwilling) => return unwilling.told.clone(),
        _ => return None,
    })
}
