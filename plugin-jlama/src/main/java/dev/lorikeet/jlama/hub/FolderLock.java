package dev.lorikeet.jlama.hub;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Lets one thread of one process at a time download into a directory. A lock of the file {@code
 * .lock} keeps other processes out, and dies with its process; threads of this one are kept out
 * before, since the file's lock belongs to the process.
 */
final class FolderLock implements AutoCloseable {
  private static final String NAME = ".lock";
  private static final Map<Path, ReentrantLock> THREADS = new ConcurrentHashMap<>();

  private final ReentrantLock thread;
  private final FileChannel channel;

  private FolderLock(ReentrantLock thread, FileChannel channel) {
    this.thread = thread;
    this.channel = channel;
  }

  /**
   * Waits for the directory.
   *
   * @param waiting is told if somebody else has it
   */
  @SuppressWarnings("LockNotBeforeTry") // released by close, or below
  static FolderLock acquire(Path directory, DownloadProgress waiting) {
    Path file = directory.resolve(NAME);
    try {
      ReentrantLock thread =
          THREADS.computeIfAbsent(directory.toRealPath(), path -> new ReentrantLock());
      if (!thread.tryLock()) {
        waiting.waiting(directory + ": another thread is downloading it");
        thread.lockInterruptibly();
      }
      try {
        return new FolderLock(thread, lock(file, waiting));
      } catch (IOException | RuntimeException | Error e) {
        thread.unlock();
        throw e;
      }
    } catch (InterruptedException e) {
      throw HubFaults.cancelled(file);
    } catch (IOException e) {
      throw HubFaults.disk(file, e);
    }
  }

  private static FileChannel lock(Path file, DownloadProgress waiting) throws IOException {
    FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    try {
      Optional<FileLock> free = Optional.ofNullable(channel.tryLock());
      if (free.isEmpty()) {
        waiting.waiting(file + ": another process is downloading into this directory");
        channel.lock();
      }
      return channel;
    } catch (IOException | RuntimeException | Error e) {
      channel.close();
      throw e;
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      // The lock ends with the process at the latest.
    } finally {
      thread.unlock();
    }
  }
}
