package dev.lorikeet.cuda.lora;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.cuda.driver.CudaContext;
import dev.lorikeet.cuda.driver.CudaDevice;
import dev.lorikeet.cuda.driver.CudaException;
import dev.lorikeet.cuda.driver.CudaStream;
import dev.lorikeet.cuda.memory.AdapterCache;
import dev.lorikeet.cuda.memory.DevicePagePool;
import dev.lorikeet.cuda.memory.ResidentAdapter;
import dev.lorikeet.cuda.memory.StagedTensor;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * LoRA on an NVIDIA GPU: SGMV (Punica, arXiv 2310.18547) for deltas, one fused launch for merged
 * states (LoRA-Switch, arXiv 2405.17741).
 *
 * <p>Idea: a call is one or two launches for a whole target group, whatever adapters, ranks and
 * mixtures the batch has. What kernels need to know of a batch is sent once per revision of it and
 * serves all layers of a step; what they need to know of adapters lies in a table on the device.
 * Layout and cost: see {@code layout.cuh} and the kernels' own heads.
 *
 * <p>Tensors on this executor's device are used where they are, and a call returns when its work is
 * in the stream; the stream keeps order with the default stream of other CUDA libraries in the
 * process. Host tensors are copied to the device and back, the slow way, and the call waits. Once
 * buffers have grown and the batch's adapters are on the device, a call allocates and waits for
 * nothing, and can be captured in a graph. The graph stays right as long as no other batch is given
 * to this executor, since it reads the batch's tile plan, and adapters' pages, where they are.
 */
final class CudaLoraExecutor implements LoraExecutor {
  private static final int MEMORY_SHARE = 4;

  /** Sent per call and adapter beyond what the call needs: about the next layer. */
  private static final int MODULES_AHEAD = 7;

  private final CudaContext context;
  private final Device device;
  private final CudaStream stream;
  private final DevicePagePool pool;
  private final AdapterCache cache;
  private final Kernels kernels;
  private final BatchOnDevice onDevice;
  private final SgmvLauncher sgmv;
  private final SwitchLauncher switcher;
  private final StagedTensor stagedInput;
  private final List<StagedTensor> stagedOutputs = new ArrayList<>();
  private final int[] numbers = new int[Layouts.MAX_TARGETS];
  private final long[] outputAddresses = new long[Layouts.MAX_TARGETS];
  private final long[] outputStrides = new long[Layouts.MAX_TARGETS];
  private boolean closed;

  private CudaLoraExecutor(CudaContext context, CudaOptions options) {
    this.context = context;
    device = new Device("cuda", context.device().ordinal());
    stream = CudaStream.blocking();
    long bytes =
        options.memoryBytes() > 0 ? options.memoryBytes() : context.freeBytes() / MEMORY_SHARE;
    pool = new DevicePagePool(bytes, options.pageBytes());
    kernels = Kernels.load();
    cache = new AdapterCache(stream, pool);
    onDevice = new BatchOnDevice(stream, cache);
    sgmv = new SgmvLauncher(stream, kernels, context.device(), options);
    switcher = new SwitchLauncher(stream, kernels, cache, device);
    stagedInput = new StagedTensor(stream);
    for (int i = 0; i < Layouts.MAX_TARGETS; i++) {
      stagedOutputs.add(new StagedTensor(stream));
    }
  }

  /** Opens an executor on a device. */
  static CudaLoraExecutor open(CudaDevice device, CudaOptions options) {
    CudaContext context = CudaContext.open(device);
    try {
      return new CudaLoraExecutor(context, options);
    } catch (RuntimeException e) {
      // What was allocated goes with the context, if nobody else in this process uses it.
      context.close();
      if (e instanceof CudaException failure && failure.isOutOfMemory()) {
        throw new LorikeetException(
            Code.POOL_EXHAUSTED,
            "cuda: the device has too little free memory (option memory-mib): " + e.getMessage(),
            e);
      }
      throw e;
    }
  }

  @Override
  public Device device() {
    return device;
  }

  @Override
  public boolean takesActivations(ElementType type, Device where) {
    return where.isHost() || where.equals(device);
  }

  @Override
  public boolean merges(ElementType type, Device where) {
    return where.isHost() || where.equals(device);
  }

  /** Returns the stream that all work goes to. */
  CudaStream stream() {
    return stream;
  }

  AdapterCache cache() {
    return cache;
  }

  Kernels kernels() {
    return kernels;
  }

  @Override
  public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
    checkOpen();
    Shapes.check(targets, batch, x, y, device);
    Shapes.checkOpen(targets, batch);
    if (batch.entries() == 0) {
      return;
    }
    context.makeCurrent();
    onDevice.place(batch);
    int maxRank = checkSizes(targets, batch, x, y);
    if (maxRank == 0) {
      return;
    }
    List<TargetModule> modules = targets.targets();
    if (!onDevice.isComplete()) {
      send(batch, modules);
    }
    onDevice.plan(batch, x, y);
    cache.awaitSent();

    boolean onHost = x.device().isHost();
    long rows = batch.tokens();
    long xAddress = onHost ? stagedInput.send(x, rows) : x.segment().address();
    long xStride = onHost ? StagedTensor.stride(x) : x.rowStride();
    for (int i = 0; i < y.size(); i++) {
      Tensor output = y.get(i);
      boolean staged = output.device().isHost();
      onHost |= staged;
      outputAddresses[i] =
          staged ? stagedOutputs.get(i).send(output, rows) : output.segment().address();
      outputStrides[i] = staged ? StagedTensor.stride(output) : output.rowStride();
    }
    sgmv.launch(
        onDevice, numbers, maxRank, x, xAddress, xStride, y, outputAddresses, outputStrides);
    if (onHost) {
      fetch(batch, y);
    }
    sendAhead(batch, numbers[y.size() - 1]);
  }

  /** Copies what was computed back into host tensors: rows that have entries, and no other. */
  private void fetch(LoraBatch batch, List<Tensor> y) {
    long rows = batch.tokens();
    for (int i = 0; i < y.size(); i++) {
      if (y.get(i).device().isHost()) {
        stagedOutputs.get(i).fetch(y.get(i), rows);
      }
    }
    stream.synchronize();
    TilePlan tiles = onDevice.tilePlan();
    for (int i = 0; i < y.size(); i++) {
      if (y.get(i).device().isHost()) {
        for (int row = 0; row < tiles.rowCount(); row++) {
          stagedOutputs.get(i).store(y.get(i), rows, tiles.rows()[row]);
        }
      }
    }
  }

  /** Notes the modules' numbers, checks all sizes against the tensors; returns the largest rank. */
  private int checkSizes(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
    int maxRank = 0;
    for (int i = 0; i < y.size(); i++) {
      int module = cache.number(targets.targets().get(i));
      numbers[i] = module;
      for (int s = 0; s < batch.segments(); s++) {
        ResidentAdapter adapter = onDevice.adapter(s);
        int rank = adapter.rank(module);
        if (rank > 0) {
          Shapes.checkAdapter(
              batch.adapter(s),
              targets.targets().get(i),
              adapter.inFeatures(module),
              adapter.outFeatures(module),
              x,
              y.get(i));
          maxRank = Math.max(maxRank, rank);
        }
      }
    }
    return maxRank;
  }

  private void send(LoraBatch batch, List<TargetModule> modules) {
    for (int s = 0; s < batch.segments(); s++) {
      for (int i = 0; i < modules.size(); i++) {
        cache.send(onDevice.adapter(s), batch.adapter(s), modules.get(i));
      }
    }
  }

  /** Uses the time that the device computes to send what the next layers need. */
  private void sendAhead(LoraBatch batch, int last) {
    if (onDevice.isComplete() || stream.isCapturing()) {
      return;
    }
    for (int s = 0; s < batch.segments(); s++) {
      ResidentAdapter adapter = onDevice.adapter(s);
      adapter.used(onDevice.now(), last);
      for (int i = 0; i < MODULES_AHEAD && !adapter.isComplete(); i++) {
        cache.sendNext(adapter, batch.adapter(s));
      }
    }
    if (onDevice.isComplete()) {
      // Waiting belongs to this call: the next one may be captured, and a graph must not wait for
      // what is not in it.
      cache.awaitSent();
    }
  }

  @Override
  public void switchMerged(MergePlan plan) {
    checkOpen();
    context.makeCurrent();
    switcher.run(plan, onDevice.tick());
  }

  private void checkOpen() {
    if (closed) {
      throw new IllegalStateException("the executor is closed");
    }
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    context.makeCurrent();
    stream.synchronize();
    stagedInput.close();
    stagedOutputs.forEach(StagedTensor::close);
    switcher.close();
    sgmv.close();
    onDevice.close();
    cache.close();
    kernels.close();
    pool.close();
    stream.close();
    context.close();
  }
}
