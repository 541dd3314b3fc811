//! Properties of reseed files, for fuzz targets. Each function takes any bytes, and panics if the property does not hold.

use super::{
    KnownRouter, MAX_ROUTER_INFO_BYTES, MAX_ROUTER_INFOS, from_su3_bytes, is_router_name, since_1970, zip,
};

/// The network of the inputs.
const NETWORK: u8 = 2;

/// A reseed file: what its signature does not cover is never read, and every router in it is one that can be stored.
///
/// # Panics
/// If the property does not hold.
pub fn reseed_file(input: &[u8]) {
    let Ok(routers) = from_su3_bytes(input, NETWORK, since_1970()) else { return };
    assert!(routers.iter().all(|router| is_router_name(&router.name)), "a name that is no file name");
}

/// The archive in a reseed file: few files, none of them long.
///
/// # Panics
/// If the property does not hold.
pub fn reseed_archive(input: &[u8]) {
    let Some(files) = zip::contents(input, MAX_ROUTER_INFO_BYTES) else { return };
    assert!(files.len() <= MAX_ROUTER_INFOS, "{} files", files.len());
    assert!(files.iter().all(|file| file.len() <= MAX_ROUTER_INFO_BYTES), "a long file");
}

/// A router's information, as other routers and reseed files have it.
///
/// # Panics
/// If the property does not hold.
pub fn router_info(input: &[u8]) {
    let Some(router) = KnownRouter::new(input.to_vec(), NETWORK) else { return };
    assert!(
        is_router_name(&router.name) && router.info == input,
        "another router than the one that was read"
    );
}
