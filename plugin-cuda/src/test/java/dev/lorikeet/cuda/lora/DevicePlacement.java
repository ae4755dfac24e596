package dev.lorikeet.cuda.lora;

import dev.lorikeet.conformance.setup.TensorPlacement;
import dev.lorikeet.cuda.driver.DeviceMemory;
import dev.lorikeet.tensor.Device;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;

/** Puts the conformance suite's tensors into device memory of their own. */
final class DevicePlacement implements TensorPlacement {
  private final CudaLoraExecutor executor;
  private final Map<Long, DeviceMemory> sent = new HashMap<>();

  DevicePlacement(CudaLoraExecutor executor) {
    this.executor = executor;
  }

  @Override
  public Device device() {
    return executor.device();
  }

  @Override
  public MemorySegment send(MemorySegment host) {
    DeviceMemory memory = DeviceMemory.allocate(host.byteSize());
    memory.write(0, host);
    sent.put(memory.address(), memory);
    return MemorySegment.ofAddress(memory.address()).reinterpret(host.byteSize());
  }

  @Override
  public void fetch(MemorySegment onDevice, MemorySegment host) {
    executor.stream().synchronize();
    Objects.requireNonNull(sent.get(onDevice.address())).read(0, host);
  }

  @Override
  public void free(MemorySegment onDevice) {
    Objects.requireNonNull(sent.remove(onDevice.address())).close();
  }
}
