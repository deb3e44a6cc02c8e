//! The node's certificates: a root of its own, which can vouch for nothing but local names and private addresses, and what it signs for the
//! names and addresses that the node has now.

use crate::http::LOCAL_DOMAINS;
use anyhow::{Context, Result};
use data_encoding::{BASE64, HEXUPPER};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use time::{Duration, OffsetDateTime};

/// Networks whose addresses the root may vouch for: no router of the world's knows a way to them.
const NETWORKS: [(IpAddr, u8); 7] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
];
/// How long a certificate is good: the most that Apple's systems take from a root that a person added.
const LEAF_DAYS: i64 = 820;
/// A clock that is behind makes certificates that are good already.
const BEFORE_DAYS: i64 = 30;

/// What is kept of the root: for the agent alone.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Root {
    /// The node's name when it was made.
    name: String,
    /// PKCS #8, in base64.
    key: String,
    /// The certificate, in base64.
    certificate: String,
}

/// A certificate with its chain and its key.
pub struct Leaf {
    /// It, and the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

/// What the node is called in local networks. Not its bare name: a constraint for `garden` lets all of `*.garden` through, which are sites of
/// the world's.
fn local_names(name: &str) -> Vec<String> {
    let short = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let plain = !short.is_empty() && short.len() <= 63 && short.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !plain {
        return Vec::new();
    }
    LOCAL_DOMAINS.iter().map(|domain| format!("{short}.{domain}")).collect()
}

/// Whether the root may vouch for an address.
pub fn is_private(ip: IpAddr) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    let (address, size) = bits(ip);
    NETWORKS.iter().any(|(network, prefix)| {
        let (start, of) = bits(*network);
        let mask = u128::MAX.checked_shl(128 - u32::from(*prefix)).unwrap_or_default();
        size == of && address & mask == start & mask
    })
}

fn root_params(name: &str, key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("cloudy node {name}"));
    // The same whenever it is made anew from the key.
    params.serial_number = Some(SerialNumber::from_slice(Sha256::digest(key.public_key_raw()).get(..16).unwrap_or_default()));
    (params.not_before, params.not_after) = (date_time_ymd(2024, 1, 1), date_time_ymd(2049, 12, 31));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    // Nor for letters, nor for programs.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let names = LOCAL_DOMAINS.iter().map(|domain| (*domain).to_owned());
    let networks = NETWORKS.iter().map(|(network, prefix)| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*network, *prefix)));
    let permitted_subtrees = names.map(GeneralSubtree::DnsName).chain(networks).collect();
    params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    params
}

impl Root {
    /// Makes one for a node of that name.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn make(name: &str) -> Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("making a key")?;
        let certificate = root_params(name, &key).self_signed(&key).context("making the root")?;
        Ok(Self { name: name.to_owned(), key: BASE64.encode(&key.serialize_der()), certificate: BASE64.encode(certificate.der()) })
    }

    /// What a file of its is called for a node of that name.
    pub fn file_name(name: &str) -> String {
        let short = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
        HEXUPPER.encode(Sha256::digest(short).get(..8).unwrap_or_default()).to_ascii_lowercase()
    }

    fn key(&self) -> Result<KeyPair> {
        let der = BASE64.decode(self.key.as_bytes()).context("the root's key is damaged")?;
        let der = PrivatePkcs8KeyDer::from(der);
        KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256).context("the root's key is damaged")
    }

    /// Its certificate.
    ///
    /// # Errors
    /// It can't be read.
    pub fn der(&self) -> Result<Vec<u8>> {
        BASE64.decode(self.certificate.as_bytes()).context("the root's certificate is damaged")
    }

    /// SHA-256 of its certificate, as browsers show it.
    ///
    /// # Errors
    /// It can't be read.
    pub fn fingerprint(&self) -> Result<String> {
        let digits = HEXUPPER.encode(&Sha256::digest(self.der()?));
        let pairs: Vec<String> = digits.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned()).collect();
        Ok(pairs.join(":"))
    }

    /// Signs for what the node is called and where it is, as far as this root may: no name and address beyond.
    ///
    /// # Errors
    /// The root is damaged.
    pub fn sign(&self, name: &str, addresses: &[IpAddr], now: OffsetDateTime) -> Result<Leaf> {
        let root_key = self.key()?;
        let issuer = Issuer::new(root_params(&self.name, &root_key), root_key);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("making a key")?;
        let mut params = CertificateParams::new(local_names(name)).context("the node's names")?;
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        params.subject_alt_names.extend(addresses.iter().chain(&loopback).copied().filter(|ip| is_private(*ip)).map(SanType::IpAddress));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (now - Duration::days(BEFORE_DAYS), now + Duration::days(LEAF_DAYS - BEFORE_DAYS));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &issuer).context("signing the node's certificate")?;
        let chain = vec![leaf.der().clone(), CertificateDer::from(self.der()?)];
        Ok(Leaf { chain, key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())) })
    }

    /// What somebody could sign who stole the key.
    #[cfg(test)]
    pub fn signed_for_test(&self, name: &str, now: OffsetDateTime) -> Vec<CertificateDer<'static>> {
        let root_key = self.key().unwrap();
        let issuer = Issuer::new(root_params(&self.name, &root_key), root_key);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (now - Duration::days(1), now + Duration::days(1));
        vec![params.signed_by(&key, &issuer).unwrap().der().clone()]
    }
}
