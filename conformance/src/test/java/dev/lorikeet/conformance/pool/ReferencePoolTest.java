package dev.lorikeet.conformance.pool;

import dev.lorikeet.conformance.PagePoolConformance;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;

class ReferencePoolTest extends PagePoolConformance {
  @Override
  protected PagePool createPool(PoolConfig config) {
    return new ReferencePool(config);
  }
}
