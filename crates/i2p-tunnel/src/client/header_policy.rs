/// What happens to the header fields of plain HTTP that name the client's program, user or machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeaderPolicy {
    /// They are removed, or made the same for everybody.
    #[default]
    Filtered,
    /// They pass as the client has sent them.
    AsSent,
}
