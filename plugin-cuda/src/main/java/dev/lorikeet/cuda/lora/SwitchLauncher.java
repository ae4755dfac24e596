package dev.lorikeet.cuda.lora;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.cuda.driver.CudaEvent;
import dev.lorikeet.cuda.driver.CudaFunction;
import dev.lorikeet.cuda.driver.CudaStream;
import dev.lorikeet.cuda.driver.KernelArgument;
import dev.lorikeet.cuda.lora.Layouts.Module;
import dev.lorikeet.cuda.lora.Layouts.Switch;
import dev.lorikeet.cuda.memory.AdapterCache;
import dev.lorikeet.cuda.memory.Buffers;
import dev.lorikeet.cuda.memory.ResidentAdapter;
import dev.lorikeet.cuda.memory.StagedTensor;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.MergePlan.Share;
import dev.lorikeet.executor.MergePlan.Target;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * Computes merged states: one launch for all target modules of one element type that are on the
 * device (two where some have rows off the vector width); modules in host memory go through it one
 * by one, the slow way.
 */
final class SwitchLauncher implements AutoCloseable {
  private static final int THREADS = 256;
  private static final int MATRIX_THREADS = 128;
  private static final int TILE_OUT = 32;
  private static final int MATRIX_TILE_OUT = 64;
  private static final int TILE_IN = 256;

  private final CudaStream stream;
  private final Kernels kernels;
  private final AdapterCache cache;
  private final Device device;
  private final Arena arena = Arena.ofShared();
  private final KernelArgument argument = new KernelArgument(arena, Switch.BYTES);
  private final CudaEvent copied = CudaEvent.forOrder();
  private final Buffers.Pinned pinned;
  private final Buffers.OnDevice buffer;
  private final StagedTensor stagedPristine;
  private final StagedTensor stagedMerged;

  SwitchLauncher(CudaStream stream, Kernels kernels, AdapterCache cache, Device device) {
    this.stream = stream;
    this.kernels = kernels;
    this.cache = cache;
    this.device = device;
    pinned = new Buffers.Pinned(stream);
    buffer = new Buffers.OnDevice(stream);
    stagedPristine = new StagedTensor(stream);
    stagedMerged = new StagedTensor(stream);
  }

  /** Computes a merged state; adapters count as used at {@code now}. */
  void run(MergePlan plan, long now) {
    stream.expectNoCapture("a switch");
    for (Target target : plan.targets()) {
      check(target, "pristine", target.pristine());
      check(target, "merged", target.merged());
    }
    List<ResidentAdapter> adapters = place(plan, now);
    checkSizes(plan, adapters);
    for (int s = 0; s < adapters.size(); s++) {
      AdapterLease lease = plan.mixture().get(s).adapter();
      for (Target target : plan.targets()) {
        cache.send(adapters.get(s), lease, target.module());
      }
    }
    cache.reserveModules();
    cache.awaitSent();

    for (ElementType type : ElementType.values()) {
      List<Target> whole = new ArrayList<>();
      List<Target> odd = new ArrayList<>();
      for (Target target : plan.targets()) {
        if (target.pristine().type() != type) {
          continue;
        }
        if (target.pristine().device().isHost() || target.merged().device().isHost()) {
          runStaged(target, plan.mixture(), adapters);
        } else {
          (isWhole(target) ? whole : odd).add(target);
        }
      }
      if (!whole.isEmpty()) {
        launch(whole, plan.mixture(), adapters);
      }
      if (!odd.isEmpty()) {
        launch(odd, plan.mixture(), adapters);
      }
    }
  }

  /** Returns whether vectors of eight elements cover every row, as the tensor core kernel wants. */
  private static boolean isWhole(Target target) {
    return Shapes.isAligned(target.pristine())
        && Shapes.isAligned(target.merged())
        && target.pristine().columns() % 8 == 0;
  }

  private void check(Target target, String name, Tensor tensor) {
    if (!tensor.device().isHost() && !tensor.device().equals(device)) {
      throw new IllegalArgumentException(
          target.module()
              + ", "
              + name
              + ": expected a tensor on "
              + device
              + " or the host, found "
              + tensor);
    }
    if (tensor.type() != target.pristine().type()) {
      throw new IllegalArgumentException(
          target.module()
              + ", "
              + name
              + ": expected the element type of the pristine weights, "
              + target.pristine().type()
              + ", found "
              + tensor);
    }
    if (tensor.rows() < 1
        || tensor.rows() > Integer.MAX_VALUE - 64
        || tensor.columns() > Integer.MAX_VALUE - 512) {
      throw new IllegalArgumentException(
          target.module() + ", " + name + ": expected 1 to 2^31 rows and columns, found " + tensor);
    }
  }

  private List<ResidentAdapter> place(MergePlan plan, long now) {
    List<ResidentAdapter> adapters = new ArrayList<>();
    for (Share share : plan.mixture()) {
      for (Target target : plan.targets()) {
        // Fails if the lease is closed.
        var _ = share.adapter().weights(target.module());
      }
      cache.find(share.adapter(), now);
    }
    for (Share share : plan.mixture()) {
      ResidentAdapter found = cache.find(share.adapter(), now);
      adapters.add(found == null ? cache.admit(share.adapter(), now) : found);
    }
    return adapters;
  }

  private void checkSizes(MergePlan plan, List<ResidentAdapter> adapters) {
    for (Target target : plan.targets()) {
      int module = cache.number(target.module());
      for (int s = 0; s < adapters.size(); s++) {
        ResidentAdapter adapter = adapters.get(s);
        if (adapter.rank(module) > 0
            && (adapter.inFeatures(module) != target.pristine().columns()
                || adapter.outFeatures(module) != target.pristine().rows())) {
          throw new IllegalArgumentException(
              target.module()
                  + ": adapter '"
                  + plan.mixture().get(s).adapter().spec().id()
                  + "' is for weights of ["
                  + adapter.outFeatures(module)
                  + ", "
                  + adapter.inFeatures(module)
                  + "], found "
                  + target.pristine());
        }
      }
    }
  }

  private void runStaged(Target target, List<Share> mixture, List<ResidentAdapter> adapters) {
    Tensor pristine = target.pristine();
    Tensor merged = target.merged();
    long rows = pristine.rows();
    Tensor from = pristine.device().isHost() ? onDevice(pristine, true) : pristine;
    Tensor to = merged.device().isHost() ? onDevice(merged, false) : merged;
    launch(List.of(new Target(target.module(), from, to)), mixture, adapters);
    if (merged.device().isHost()) {
      stagedMerged.fetch(merged, rows);
    }
    stream.synchronize();
    if (merged.device().isHost()) {
      for (long row = 0; row < rows; row++) {
        stagedMerged.store(merged, rows, row);
      }
    }
  }

  private Tensor onDevice(Tensor host, boolean sends) {
    long rows = host.rows();
    long address = sends ? stagedPristine.send(host, rows) : stagedMerged.reserve(host, rows);
    long stride = StagedTensor.stride(host);
    MemorySegment segment =
        MemorySegment.ofAddress(address).reinterpret(rows * stride * host.type().bytes());
    return new Tensor(segment, host.type(), rows, host.columns(), stride, device);
  }

  /** Launches the switch of modules of one element type, all on the device. */
  private void launch(List<Target> targets, List<Share> mixture, List<ResidentAdapter> adapters) {
    ElementType type = targets.getFirst().pristine().type();
    // Without any adapter either kernel copies; only 16-bit weights have the matrix one.
    boolean matrix = type != ElementType.F32 && isWhole(targets.getFirst());
    for (ResidentAdapter adapter : adapters) {
      matrix &= adapter.isDense(type);
    }
    int tileOut = matrix ? MATRIX_TILE_OUT : TILE_OUT;

    long moduleBytes = Buffers.align((long) targets.size() * Module.BYTES, 16);
    long shareBytes = Buffers.align(4L * mixture.size(), 16);
    long bytes = moduleBytes + 2 * shareBytes;
    // The host memory may still be read by the switch before.
    copied.synchronize();
    MemorySegment host = pinned.reserve(Math.max(16, bytes));
    int tiles = 0;
    for (int i = 0; i < targets.size(); i++) {
      MemorySegment module = host.asSlice((long) i * Module.BYTES);
      tiles = describe(targets.get(i), module, tiles, tileOut);
      int target = cache.number(targets.get(i).module());
      boolean changes = adapters.stream().anyMatch(a -> a.rank(target) > 0);
      module.set(JAVA_INT_UNALIGNED, Module.CHANGES, changes ? 1 : 0);
    }
    for (int s = 0; s < mixture.size(); s++) {
      host.set(JAVA_INT_UNALIGNED, moduleBytes + 4L * s, adapters.get(s).slot());
      host.set(JAVA_FLOAT_UNALIGNED, moduleBytes + shareBytes + 4L * s, mixture.get(s).weight());
    }
    long modules = buffer.reserve(Math.max(16, bytes));
    stream.copyToDevice(modules, host, bytes);
    copied.record(stream);

    MemorySegment args = argument.structure();
    args.set(JAVA_LONG_UNALIGNED, Switch.MODULES, modules);
    args.set(JAVA_LONG_UNALIGNED, Switch.DIRECTORY, cache.directoryAddress());
    args.set(JAVA_LONG_UNALIGNED, Switch.SLOTS, modules + moduleBytes);
    args.set(JAVA_LONG_UNALIGNED, Switch.WEIGHTS, modules + moduleBytes + shareBytes);
    args.set(JAVA_INT_UNALIGNED, Switch.MODULE_COUNT, targets.size());
    args.set(JAVA_INT_UNALIGNED, Switch.SHARES, mixture.size());
    args.set(JAVA_INT_UNALIGNED, Switch.SLOT_STRIDE, cache.directoryStride());
    args.set(JAVA_INT_UNALIGNED, Switch.PAGE_SHIFT, cache.pageShift());
    CudaFunction kernel = matrix ? kernels.switchMatrix(type) : kernels.switchAny(type);
    kernel.launch(stream, tiles, 1, 1, matrix ? MATRIX_THREADS : THREADS, argument);
  }

  /** Writes one module's entry; returns the first tile of the next. */
  private int describe(Target target, MemorySegment module, int firstTile, int tileOut) {
    Tensor pristine = target.pristine();
    Tensor merged = target.merged();
    int out = (int) pristine.rows();
    int in = (int) pristine.columns();
    module.set(JAVA_LONG_UNALIGNED, Module.PRISTINE, pristine.segment().address());
    module.set(JAVA_LONG_UNALIGNED, Module.MERGED, merged.segment().address());
    module.set(JAVA_LONG_UNALIGNED, Module.PRISTINE_STRIDE, pristine.rowStride());
    module.set(JAVA_LONG_UNALIGNED, Module.MERGED_STRIDE, merged.rowStride());
    module.set(JAVA_INT_UNALIGNED, Module.OUT, out);
    module.set(JAVA_INT_UNALIGNED, Module.IN, in);
    module.set(JAVA_INT_UNALIGNED, Module.TARGET, cache.number(target.module()));
    module.set(JAVA_INT_UNALIGNED, Module.FIRST_TILE, firstTile);
    module.set(
        JAVA_INT_UNALIGNED,
        Module.ALIGNED,
        Shapes.isAligned(pristine) && Shapes.isAligned(merged) ? 1 : 0);
    int rows = (out + tileOut - 1) / tileOut;
    int columns = (in + TILE_IN - 1) / TILE_IN;
    return Math.addExact(firstTile, Math.multiplyExact(rows, columns));
  }

  @Override
  public void close() {
    pinned.close();
    buffer.close();
    stagedPristine.close();
    stagedMerged.close();
    copied.close();
    arena.close();
  }
}
