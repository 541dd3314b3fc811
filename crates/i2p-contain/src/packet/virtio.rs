//! The header before each packet of a device with `IFF_VNET_HDR` (virtio 1.2, section 5.1.6, in its legacy form of ten bytes).

use nom::{IResult, Parser, number::complete};

/// The length of the header.
pub const VIRTIO_HEADER_BYTES: usize = 10;

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
const NEEDS_CHECKSUM: u8 = 1;
/// `VIRTIO_NET_HDR_GSO_UDP_L4`.
const GSO_DATAGRAMS: u8 = 5;

/// What the kernel left to do: checksum and segmentation. Numbers are in the byte order of the machine.
///
/// A packet that is written back with the header it was read with stays unfinished, and the kernel that receives it knows. So bulk
/// data passes without a checksum ever being computed, in packets larger than a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VirtioHeader {
    flags: u8,
    gso_type: u8,
    gso_size: u16,
    checksum_start: u16,
    checksum_offset: u16,
}

impl VirtioHeader {
    /// Splits a frame into its header and the packet; `None` if it is shorter than the header.
    #[must_use]
    pub fn split(frame: &[u8]) -> Option<(Self, &[u8])> {
        header(frame).ok().map(|(packet, header)| (header, packet))
    }

    /// Where the checksum is unfinished: the start of what it covers and the place of its field, both from the start of the packet.
    /// Such a field holds the sum of the pseudo-header alone, and not its complement.
    #[must_use]
    pub fn partial_checksum(&self) -> Option<(usize, usize)> {
        let start = usize::from(self.checksum_start);
        (self.flags & NEEDS_CHECKSUM != 0).then(|| (start, start + usize::from(self.checksum_offset)))
    }

    /// The size of the datagrams that a UDP packet has to be cut into, if it holds several (`UDP_SEGMENT`).
    #[must_use]
    pub fn datagram_bytes(&self) -> Option<usize> {
        let is_several = self.gso_type == GSO_DATAGRAMS && self.gso_size > 0;
        is_several.then(|| usize::from(self.gso_size))
    }
}

fn header(frame: &[u8]) -> IResult<&[u8], VirtioHeader> {
    let word = || complete::u16::<_, nom::error::Error<&[u8]>>(nom::number::Endianness::Native);
    let byte = complete::u8;
    let fields = (byte, byte, word(), word(), word(), word());
    fields
        .map(|(flags, gso_type, _header_length, gso_size, checksum_start, checksum_offset)| VirtioHeader {
            flags,
            gso_type,
            gso_size,
            checksum_start,
            checksum_offset,
        })
        .parse(frame)
}
