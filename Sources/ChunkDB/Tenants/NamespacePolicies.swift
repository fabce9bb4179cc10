// Which policy says what the entries of a namespace are worth. Of each there is one, with one
// memory: whoever shares a policy competes.

import ChunkFormat
import Primitives
import Retention

struct NamespacePolicies: Sendable {
    let standard: any RetentionPolicy
    private let byName: [String: any RetentionPolicy]
    private let admissions: [String: any AdmissionPolicy]
    private let standardAdmission: any AdmissionPolicy

    /// *Throws:* for a name that is no policy's.
    init(_ options: StoreOptions) throws(UnknownPolicy) {
        standard = try RetentionPolicies.named(options.retentionPolicy)
        var made = [options.retentionPolicy: standard]
        var byName: [String: any RetentionPolicy] = [:]
        var admissions: [String: any AdmissionPolicy] = [:]
        var madeAdmissions: [AdmissionOptions: [String: any AdmissionPolicy]] = [:]
        for (namespace, options) in options.namespaces.sorted(by: { $0.key < $1.key }) {
            let (admission, costs) = (options.admissionPolicy, options.admissionOptions)
            if madeAdmissions[costs]?[admission] == nil {
                madeAdmissions[costs, default: [:]][admission] =
                    try AdmissionPolicies.named(admission, options: costs)
            }
            admissions[namespace] = madeAdmissions[costs]?[admission]
            guard let name = options.retentionPolicy else { continue }
            if made[name] == nil { made[name] = try RetentionPolicies.named(name) }
            byName[namespace] = made[name]
        }
        self.byName = byName
        self.admissions = admissions
        standardAdmission = try AdmissionPolicies.named(AdmissionPolicies.defaultName)
    }

    func admission(_ name: String) -> any AdmissionPolicy { admissions[name] ?? standardAdmission }

    /// The policy of the namespace of that name.
    subscript(name: String) -> any RetentionPolicy { byName[name] ?? standard }

    /// HEA-6. - Parameter names: of all namespaces, by their numbers.
    func digest(_ names: [NamespaceID: String]) -> Digest128 {
        var text = "default=\(standard.name)\n"
        for (id, name) in names.sorted(by: { $0.key < $1.key })
        where self[name].name != standard.name {
            text += "\(id.raw)=\(self[name].name)\n"
        }
        return Digest128(hashing: Array(text.utf8))
    }
}
