// Who links ChunkDB sees the words its face is made of: identities, bindings, records' facts, disk
// options and errors.

@_exported import BlockIO
@_exported import ChunkFormat
@_exported import KVModel
@_exported import Primitives
@_exported import SegmentLog
