// Where the rows of a prompt go on a device: as in `FedLayer`, of each layer all key rows one after
// the other and all value rows likewise. Neither needs a boundary: copies end at any byte.

import KVModel

/// A part of a device's memory.
public struct DeviceSlice: Sendable {
    public let buffer: DeviceBuffer
    /// In the buffer.
    public let range: Range<Int>

    /// Traps when the range is not inside.
    public init(_ buffer: DeviceBuffer, _ range: Range<Int>) {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= buffer.byteCount,
            "\(range) of \(buffer.byteCount) bytes")
        self.buffer = buffer
        self.range = range
    }

    /// On the device.
    public var address: UInt64 { buffer.address + UInt64(range.lowerBound) }
    public var byteCount: Int { range.count }

    /// A part of it, counted from its begin.
    public func slice(_ part: Range<Int>) -> DeviceSlice {
        precondition(part.lowerBound >= 0 && part.upperBound <= byteCount, "outside")
        return DeviceSlice(
            buffer, range.lowerBound + part.lowerBound..<range.lowerBound + part.upperBound)
    }

    /// See `DeviceBuffer.bytes`.
    public func bytes() throws(DeviceError) -> [UInt8] { try buffer.bytes(range) }
}

/// Of every layer a place for keys and one for values.
public struct DeviceSlabs: Sendable {
    public let device: Device
    public let keys: [DeviceSlice]
    public let values: [DeviceSlice]

    /// Places that somebody else has laid out, by layer. Traps unless there are as many for keys as
    /// for values, all of one device.
    public init(keys: [DeviceSlice], values: [DeviceSlice]) {
        precondition(!keys.isEmpty && keys.count == values.count, "a place for each plane")
        device = keys[0].buffer.device
        precondition(
            (keys + values).allSatisfy { [device] in $0.buffer.device === device },
            "memory of one device")
        self.keys = keys
        self.values = values
    }

    /// One piece of new memory for so many rows in every layer of a model.
    public init(on device: Device, for binding: ModelBinding, rowCount: Int) throws(DeviceError) {
        precondition(rowCount > 0, "slabs of \(rowCount) rows")
        let planeBytes = binding.layers.indices.map { binding.rowBytes(layer: $0) * rowCount }
        let buffer = try DeviceBuffer(on: device, byteCount: 2 * planeBytes.reduce(0, +))
        var (keys, values, offset) = ([DeviceSlice](), [DeviceSlice](), 0)
        for bytes in planeBytes {
            keys.append(DeviceSlice(buffer, offset..<offset + bytes))
            values.append(DeviceSlice(buffer, offset + bytes..<offset + 2 * bytes))
            offset += 2 * bytes
        }
        self.init(keys: keys, values: values)
    }

    /// *Throws:* `.noPlace` when a plane of so many bytes does not fit.
    func require(layer: Int, planeBytes: Int) throws(DeviceError) {
        let found =
            keys.indices.contains(layer)
            ? min(keys[layer].byteCount, values[layer].byteCount) : 0
        if found < planeBytes {
            throw .noPlace(layer: layer, expectedBytes: planeBytes, foundBytes: found)
        }
    }
}
