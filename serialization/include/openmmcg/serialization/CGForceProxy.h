#ifndef OPENMMCG_CGFORCEPROXY_H_
#define OPENMMCG_CGFORCEPROXY_H_

#include "openmm/serialization/SerializationProxy.h"

namespace OpenMMCG {

/**
 * Writes CGForce objects to XML and reads them. The model is part of the XML, as base64 with its SHA-256.
 */
class CGForceProxy : public OpenMM::SerializationProxy {
public:
    CGForceProxy();
    void serialize(const void* object, OpenMM::SerializationNode& node) const override;
    void* deserialize(const OpenMM::SerializationNode& node) const override;
};

} // namespace OpenMMCG

#endif /*OPENMMCG_CGFORCEPROXY_H_*/
