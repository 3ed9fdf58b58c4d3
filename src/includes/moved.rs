//! stub
/// d
pub fn digest(_: &[u8]) -> Option<[u8; 32]> {
    None
}
/// d
pub fn tells_columns(_: &[u8]) -> bool {
    true
}
