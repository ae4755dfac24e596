package dev.lorikeet.jlama.hub;

import dev.lorikeet.files.Faults;
import java.io.IOException;
import java.nio.file.Path;

/**
 * Brings one file, from where it broke off the last time, and checks it.
 *
 * @param client asks for it
 * @param name the repository
 * @param commit its commit
 * @param directory where the file goes
 * @param patience how long to try
 * @param progress is told
 */
record FileDownload(
    HubClient client,
    ModelName name,
    String commit,
    Path directory,
    Patience patience,
    DownloadProgress progress) {
  private static final int BUFFER = 1 << 18;

  void fetch(RemoteFile file) {
    if (PartFile.isThere(file, directory)) {
      progress.update(file.path(), file.size(), file.size());
      return;
    }
    try (PartFile part = PartFile.open(file, directory)) {
      boolean resumed = part.length() > 0;
      receive(file, part);
      if (part.finish()) {
        return;
      }
      if (resumed) { // what an earlier call left was wrong, perhaps
        progress.waiting(directory.resolve(file.path()) + ": damaged, begun anew");
        receive(file, part);
        if (part.finish()) {
          return;
        }
      }
    }
    throw Faults.MODEL.invalid(
        client.url(name, commit, file),
        file.checksum().map(Checksum::toString).orElse("its bytes"),
        "another checksum");
  }

  private void receive(RemoteFile file, PartFile part) {
    Retries retries = new Retries(patience, progress);
    progress.update(file.path(), part.length(), file.size());
    long furthest = part.length();
    while (part.length() < file.size()) {
      try {
        transfer(file, part);
        if (part.length() < file.size()) {
          throw new IOException(
              client.url(name, commit, file)
                  + ": ended after "
                  + part.length()
                  + " of "
                  + file.size()
                  + " bytes");
        }
      } catch (IOException e) {
        if (part.length() > furthest) {
          furthest = part.length();
          retries.gained();
        }
        retries.failed(e);
      }
    }
  }

  private void transfer(RemoteFile file, PartFile part) throws IOException {
    long asked = part.length();
    try (HubBody body = client.open(name, commit, file, asked)) {
      if (body.offset(asked, file.size()) < asked) {
        part.restart();
      }
      byte[] buffer = new byte[BUFFER];
      for (int count = body.read(buffer); count >= 0; count = body.read(buffer)) {
        if (count > file.size() - part.length()) {
          throw Faults.MODEL.invalid(body.source(), file.size() + " bytes as listed", "more");
        }
        part.append(buffer, count);
        progress.update(file.path(), part.length(), file.size());
      }
    }
  }
}
