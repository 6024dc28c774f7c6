//! The C symbols `getaddrinfo` and `freeaddrinfo`, in place of the libc's.

#![allow(unsafe_code, reason = "C functions that take and give raw lists")]

use super::resolve::{Family, NameError, resolve};
use libc::{addrinfo, c_char, c_int};
use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

/// One element of a list: the element, and the address it points to.
#[repr(C)]
struct Entry {
    info: addrinfo,
    address: Address,
}

#[repr(C)]
union Address {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// What a caller asked for beside the name.
struct Hints {
    flags: c_int,
    family: Family,
    socket_type: c_int,
    protocol: c_int,
}

/// Keeps both symbols in every program of this crate, also where the linker meets their callers later.
#[used]
static SYMBOLS: (
    unsafe extern "C" fn(*const c_char, *const c_char, *const addrinfo, *mut *mut addrinfo) -> c_int,
    unsafe extern "C" fn(*mut addrinfo),
) = (getaddrinfo, freeaddrinfo);

/// As POSIX has it, for numeric services. Canonical names are not given.
///
/// # Safety
/// As POSIX has it: strings end with NUL or are null, `result` can be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    result: *mut *mut addrinfo,
) -> c_int {
    // SAFETY: the caller's promise.
    let (node, service, hints) = unsafe { (text(node), text(service), hints.as_ref()) };
    match look_up(node, service, hints) {
        Ok(entries) => {
            // SAFETY: the caller's promise.
            unsafe { *result = link(entries) };
            0
        }
        Err(code) => code,
    }
}

/// Frees a list of [`getaddrinfo`].
///
/// # Safety
/// The list came from there and is not used afterwards.
#[unsafe(no_mangle)]
unsafe extern "C" fn freeaddrinfo(list: *mut addrinfo) {
    let mut next = list.cast::<Entry>();
    while !next.is_null() {
        // SAFETY: every element is the first field of a boxed `Entry`, made by `link`.
        let entry = unsafe { Box::from_raw(next) };
        next = entry.info.ai_next.cast();
    }
}

/// # Safety
/// The string ends with NUL or is null.
unsafe fn text<'a>(string: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller's promise.
    (!string.is_null()).then(|| unsafe { CStr::from_ptr(string) })
}

fn look_up(
    node: Option<&CStr>,
    service: Option<&CStr>,
    hints: Option<&addrinfo>,
) -> Result<Vec<Entry>, c_int> {
    let hints = Hints::read(hints)?;
    let port: u16 = match service.map(CStr::to_str) {
        None | Some(Ok("")) => 0,
        Some(Ok(number)) => number.parse().map_err(|_| libc::EAI_SERVICE)?,
        Some(Err(_)) => return Err(libc::EAI_SERVICE),
    };
    let addresses = match node {
        None if hints.flags & libc::AI_PASSIVE != 0 => {
            vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
        }
        None => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        Some(name) => {
            let name = name.to_str().map_err(|_| libc::EAI_NONAME)?;
            if hints.flags & libc::AI_NUMERICHOST != 0 && name.parse::<IpAddr>().is_err() {
                return Err(libc::EAI_NONAME);
            }
            resolve(name, hints.family).map_err(|error| match error {
                NameError::Unknown => libc::EAI_NONAME,
                NameError::Runtime(_) => libc::EAI_MEMORY,
                NameError::Unanswered(_) => libc::EAI_AGAIN,
            })?
        }
    };
    let types: &[c_int] = match hints.socket_type {
        0 => &[libc::SOCK_STREAM, libc::SOCK_DGRAM],
        _ => &[hints.socket_type],
    };
    let entries = addresses.iter().flat_map(|address| {
        types.iter().map(|&socket_type| Entry::new(*address, port, socket_type, hints.protocol))
    });
    Ok(entries.collect())
}

impl Hints {
    fn read(hints: Option<&addrinfo>) -> Result<Self, c_int> {
        let Some(hints) = hints else {
            return Ok(Self { flags: 0, family: Family::Any, socket_type: 0, protocol: 0 });
        };
        let family = match hints.ai_family {
            libc::AF_UNSPEC => Family::Any,
            libc::AF_INET => Family::V4,
            libc::AF_INET6 => Family::V6,
            _ => return Err(libc::EAI_FAMILY),
        };
        Ok(Self {
            flags: hints.ai_flags,
            family,
            socket_type: hints.ai_socktype,
            protocol: hints.ai_protocol,
        })
    }
}

impl Entry {
    fn new(address: IpAddr, port: u16, socket_type: c_int, protocol: c_int) -> Self {
        let (family, length, address) = match address {
            IpAddr::V4(address) => {
                let address = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: port.to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
                    sin_zero: [0; 8],
                };
                (libc::AF_INET, size_of::<libc::sockaddr_in>(), Address { v4: address })
            }
            IpAddr::V6(address) => {
                let address = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: port.to_be(),
                    sin6_flowinfo: 0,
                    sin6_addr: libc::in6_addr { s6_addr: address.octets() },
                    sin6_scope_id: 0,
                };
                (libc::AF_INET6, size_of::<libc::sockaddr_in6>(), Address { v6: address })
            }
        };
        let info = addrinfo {
            ai_flags: 0,
            ai_family: family,
            ai_socktype: socket_type,
            ai_protocol: protocol,
            ai_addrlen: length as libc::socklen_t,
            ai_addr: ptr::null_mut(),
            ai_canonname: ptr::null_mut(),
            ai_next: ptr::null_mut(),
        };
        Self { info, address }
    }
}

/// Boxes the entries and chains them; null for none.
fn link(entries: Vec<Entry>) -> *mut addrinfo {
    entries.into_iter().rev().fold(ptr::null_mut(), |next, mut entry| {
        entry.info.ai_next = next;
        let entry = Box::into_raw(Box::new(entry));
        // SAFETY: the box was made a line above and is not shared yet; its address no longer changes.
        unsafe { (*entry).info.ai_addr = (&raw mut (*entry).address).cast() };
        entry.cast()
    })
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, ToSocketAddrs};

    #[test]
    fn the_standard_library_asks_us() {
        // glibc would give three entries a name here, or one for each address; we give IPv4 first.
        let addresses: Vec<SocketAddr> =
            ("pinnace.localhost", 80).to_socket_addrs().expect("known").collect();
        assert_eq!(addresses, ["127.0.0.1:80".parse().expect("v4"), "[::1]:80".parse().expect("v6")]);
    }
}
